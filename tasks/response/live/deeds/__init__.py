"""One file = one thing that people of a drill do at the keyboard in a manual step."""

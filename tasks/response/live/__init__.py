"""Live-fire drills: a real gateway, a real attack, real actions, in a home of its own."""

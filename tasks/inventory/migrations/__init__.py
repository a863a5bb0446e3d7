"""How the inventory's schema came to be; run when it is opened."""

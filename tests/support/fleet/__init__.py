"""A fleet of real bridges on one database behind a proxy, its clients, its faults, and what must hold through all of them."""

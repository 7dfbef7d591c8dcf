"""Messages on their way: kept until the bridge has acknowledged them, and sent again after a break."""

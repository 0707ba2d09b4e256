"""What the state machine is made of: what is followed, who follows it, and the world around them."""

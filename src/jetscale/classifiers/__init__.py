"""The models that leave: files that serve, what they say of jets, and the card beside them."""

"""What a product's layers are made of, and how they reach the disk whole or not at all."""

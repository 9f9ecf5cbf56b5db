"""What is done to an image: random changes for training, and making people's own pictures look like MNIST."""

"""The model flow's heavy stages over an order in the store, which is what a pod or a child process runs."""

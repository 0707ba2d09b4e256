"""What ``deploy/`` has: manifests, an image, a board and alerts."""

"""Does painting help a segmentation network? The same network, trained with one augmentation after another."""

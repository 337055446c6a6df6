"""The model `sift`: keypoints, their RootSIFT descriptors, and one descriptor a photo made of them."""

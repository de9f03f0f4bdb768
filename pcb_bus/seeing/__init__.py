"""The few pixel rules that edges and inference share. They need numpy and OpenCV; the other rooms need neither."""

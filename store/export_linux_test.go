package store

// NetworkFSName is tested with numbers, because a test cannot mount what they stand for.
func NetworkFSName(magic uint32) string { return networkFSName(magic) }

package status

// Shuffled is where the n-th place of a list lies.
func Shuffled(secret []byte, n int) int { return permutation(secret).at(n) }

// BlockSize is how many places are taken at a time.
const BlockSize = blockSize

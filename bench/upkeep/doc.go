// Package upkeep holds no code, only the tests that keep the tree as it was
// designed: which folder may import which, that the core reads no clock and
// draws no randomness, that every package says what it is, that sources are
// formatted and of readable size, and which rules of the standards are cited
// and which of these a test proves.
//
// The tests read sources, they run nothing of them.
package upkeep

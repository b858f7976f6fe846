// Package core runs scenario rows by the pure core alone: requests are parsed, gangs planned, cards held
// and bound by devicesharing, and what is bound goes through the API's annotations and back. It owns
// the least scheduler that can do so, one job after the other; it knows no queue's share, evicts
// nobody, and judges CPU and affinity no further than candidates does.
package core

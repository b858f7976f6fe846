// Package intree shows, side by side and on the same input, what Volcano's own deviceshare plugin
// (v1.14.1) does and what Basalt's does. It is tests only.
package intree

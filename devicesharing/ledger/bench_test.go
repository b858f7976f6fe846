package ledger_test

import (
	"fmt"
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
	"github.com/basalt-gpu/basalt/devicesharing/request"
	"github.com/basalt-gpu/basalt/devicesharing/sharingtest"
)

func BenchmarkHoldRelease(b *testing.B) {
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("n", 8))
	for i := range 56 {
		if _, v := l.Hold(fmt.Sprint("pod-", i), "n", sharingtest.Slice(8192, 10), ledger.HoldOptions{}); !v.OK() {
			b.Fatal(v)
		}
	}
	r := sharingtest.Slice(8192, 10)
	b.ReportAllocs()
	for b.Loop() {
		l.Hold("p", "n", r, ledger.HoldOptions{Namespace: "default", Name: "p"})
		l.Release("p")
	}
}

func BenchmarkRefusal(b *testing.B) {
	l := ledger.New()
	l.SetNode(sharingtest.MakeNode("n", 8))
	for _, r := range []*request.Pod{sharingtest.Slice(80000, 90)} {
		for i := range 8 {
			l.Hold(fmt.Sprint("pod-", i), "n", r, ledger.HoldOptions{})
		}
	}
	r := sharingtest.Slice(8192, 10)
	b.ReportAllocs()
	for b.Loop() {
		l.Fits("n", r)
	}
}

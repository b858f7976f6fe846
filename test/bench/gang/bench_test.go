package main

import (
	"testing"

	"github.com/basalt-gpu/basalt/devicesharing/gang"
)

func BenchmarkPlan(b *testing.B) {
	for i := range cases {
		c := &cases[i]
		b.Run(c.name, func(b *testing.B) {
			p := c.pool(c.nodes())
			g := c.plan(p)
			if err := c.check(gang.Plan(p, g)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				gang.Plan(p, g)
			}
		})
	}
}

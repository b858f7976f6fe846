package nvidia

import (
	"context"
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"k8s.io/klog/v2"
)

const (
	// probeInterval is how often every card is asked whether it still answers.
	probeInterval = 2 * time.Second
	// eventWait bounds one wait for events, hence how long the watch needs to end.
	eventWait = 500 * time.Millisecond
	// quietAfterXID is how long a card has to be silent after a critical error before it counts as
	// healthy again.
	quietAfterXID = 30 * time.Second
)

// applicationXIDs are errors that a program causes and that leave the card usable (NVIDIA's XID
// catalogue): graphics engine exception, GPU memory page fault, stopped processing, preemptive
// cleanup, video processor exception, robust channel error.
var applicationXIDs = map[uint64]bool{13: true, 31: true, 43: true, 45: true, 68: true, 109: true}

// watch follows the health of the cards.
type watch struct {
	backend *Backend
	report  func(uuid string, healthy bool, reason string)
	sick    map[string]string    // reason by UUID
	quiet   map[string]time.Time // when a card with an XID may recover
}

// WatchHealth calls report for every change until ctx ends. A card that answers and has had no
// critical error for a while is healthy again.
func (b *Backend) WatchHealth(ctx context.Context, report func(uuid string, healthy bool, reason string)) {
	w := &watch{backend: b, report: report, sick: map[string]string{}, quiet: map[string]time.Time{}}
	events, registered := b.registerEvents(ctx)
	if registered {
		defer func() { _ = events.Free() }()
	}
	w.probe()
	next := b.opts.Clock.Now().Add(probeInterval)
	for ctx.Err() == nil {
		if registered {
			w.wait(ctx, events)
		} else {
			select {
			case <-ctx.Done():
			case <-b.opts.Clock.After(eventWait):
			}
		}
		if now := b.opts.Clock.Now(); !now.Before(next) {
			w.probe()
			next = now.Add(probeInterval)
		}
	}
}

// registerEvents subscribes to the critical errors of every card that can report them.
func (b *Backend) registerEvents(ctx context.Context) (nvml.EventSet, bool) {
	logger := klog.FromContext(ctx)
	for _, symbol := range []string{"nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetWait_v2", "nvmlEventSetFree"} {
		if !b.has(symbol) {
			logger.Info("The driver has no events, cards are only probed", "missing", symbol)
			return nil, false
		}
	}
	set, ret := b.lib.EventSetCreate()
	if ret != nvml.SUCCESS {
		logger.Info("Cannot create an event set, cards are only probed", "reason", ret.Error())
		return nil, false
	}
	registered := false
	for _, c := range b.Cards() {
		dev, ret := b.lib.DeviceGetHandleByUUID(c.UUID)
		if ret == nvml.SUCCESS {
			ret = dev.RegisterEvents(nvml.EventTypeXidCriticalError|nvml.EventTypeDoubleBitEccError, set)
		}
		if ret != nvml.SUCCESS {
			logger.Info("Card reports no events, it is only probed", "device", c.UUID, "reason", ret.Error())
			continue
		}
		registered = true
	}
	if !registered {
		_ = set.Free()
	}
	return set, registered
}

func (w *watch) wait(ctx context.Context, set nvml.EventSet) {
	data, ret := set.Wait(uint32(eventWait.Milliseconds()))
	switch {
	case ret == nvml.ERROR_TIMEOUT:
		return
	case ret != nvml.SUCCESS:
		// A lost card makes the wait fail for all; the probe finds out which. Do not spin.
		select {
		case <-ctx.Done():
		case <-w.backend.opts.Clock.After(eventWait):
		}
		return
	}
	if data.EventType == nvml.EventTypeXidCriticalError && applicationXIDs[data.EventData] {
		return
	}
	reason := fmt.Sprintf("XID %d", data.EventData)
	if data.EventType == nvml.EventTypeDoubleBitEccError {
		reason = "uncorrectable memory error"
	}
	uuid, ret := data.Device.GetUUID()
	if ret != nvml.SUCCESS {
		// Which card it was cannot be told any more, so none can be trusted until it is quiet.
		for _, c := range w.backend.Cards() {
			w.markSick(c.UUID, reason+" on a card that cannot be named")
		}
		return
	}
	w.markSick(uuid, reason)
}

func (w *watch) markSick(uuid, reason string) {
	w.quiet[uuid] = w.backend.opts.Clock.Now().Add(quietAfterXID)
	w.set(uuid, reason)
}

// probe asks every card for its memory: the cheapest call that reaches the device.
func (w *watch) probe() {
	now := w.backend.opts.Clock.Now()
	for _, c := range w.backend.Cards() {
		reason := ""
		dev, ret := w.backend.lib.DeviceGetHandleByUUID(c.UUID)
		if ret == nvml.SUCCESS {
			_, ret = dev.GetMemoryInfo()
		}
		if ret != nvml.SUCCESS {
			reason = "the card does not answer: " + ret.Error()
		} else if until, ok := w.quiet[c.UUID]; ok && now.Before(until) {
			reason = w.sick[c.UUID]
		}
		w.set(c.UUID, reason)
	}
}

func (w *watch) set(uuid, reason string) {
	was, sick := w.sick[uuid]
	switch {
	case reason == "" && sick:
		delete(w.sick, uuid)
		delete(w.quiet, uuid)
		w.report(uuid, true, "")
	case reason != "" && reason != was:
		w.sick[uuid] = reason
		w.report(uuid, false, reason)
	}
}

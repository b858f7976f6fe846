package nvidia

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/basalt-gpu/basalt/devicesharing/device"
)

// Options say where the driver is and how its cards are shared.
type Options struct {
	DriverRoot string
	DevRoot    string // empty: found
	SplitCount uint32
	// MemoryScaling and CoreScaling multiply what is sold of a card.
	MemoryScaling float64
	CoreScaling   float64
	Clock         clock.Clock
}

// Backend is one open NVML session.
type Backend struct {
	opts    Options
	root    root
	devRoot string
	lib     nvml.Interface

	mu    sync.Mutex // guards cards
	cards []card
}

type card struct {
	device.Card
	minor    int
	physical device.MiB
}

// Open loads the management library of the driver root and reads the cards once.
func Open(ctx context.Context, o Options) (*Backend, error) {
	r := root{dir: o.DriverRoot}
	path, err := r.nvml()
	if err != nil {
		return nil, err
	}
	b := &Backend{opts: o, root: r, devRoot: r.devRoot(o.DevRoot), lib: nvml.New(nvml.WithLibraryPath(path))}
	if ret := b.lib.Init(); ret != nvml.SUCCESS {
		return nil, fmt.Errorf("initialize NVML from %s: %w", path, ret)
	}
	if err := b.enumerate(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close ends the session.
func (b *Backend) Close() { _ = b.lib.Shutdown() }

// Cards returns the cards of the node in NVML's order.
func (b *Backend) Cards() []device.Card {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]device.Card, len(b.cards))
	for i, c := range b.cards {
		out[i] = c.Card
	}
	return out
}

// PhysicalMemory returns what the card has, unscaled.
func (b *Backend) PhysicalMemory(uuid string) device.MiB {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cards {
		if c.UUID == uuid {
			return c.physical
		}
	}
	return 0
}

func (b *Backend) minor(uuid string) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cards {
		if c.UUID == uuid {
			return c.minor, true
		}
	}
	return 0, false
}

// enumerate leaves out a card that cannot be read: it has no name by which it could be registered, and
// the others must not be lost with it. It is found again at the next start.
func (b *Backend) enumerate(ctx context.Context) error {
	count, ret := b.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return fmt.Errorf("count cards: %w", ret)
	}
	cards := make([]card, 0, count)
	var unread []error
	for i := range count {
		c, err := b.read(i)
		if err != nil {
			unread = append(unread, fmt.Errorf("read card %d of %d: %w", i, count, err))
			continue
		}
		cards = append(cards, c)
	}
	if len(cards) == 0 {
		return errors.Join(append(unread, errors.New("the driver has no usable card"))...)
	}
	for _, err := range unread {
		klog.FromContext(ctx).Error(err, "Card cannot be read and is left out")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cards = cards
	return nil
}

func (b *Backend) read(index int) (card, error) {
	dev, ret := b.lib.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("get handle: %w", ret)
	}
	uuid, ret := dev.GetUUID()
	if ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("get UUID: %w", ret)
	}
	name, ret := dev.GetName()
	if ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("get name of %s: %w", uuid, ret)
	}
	memory, ret := dev.GetMemoryInfo()
	if ret != nvml.SUCCESS {
		return card{}, fmt.Errorf("get memory of %s: %w", uuid, ret)
	}
	minor := index
	if b.has("nvmlDeviceGetMinorNumber") {
		if m, ret := dev.GetMinorNumber(); ret == nvml.SUCCESS {
			minor = m
		}
	}
	physical := device.MiB(memory.Total >> 20)
	return card{
		Card: device.Card{
			UUID:    uuid,
			Index:   index,
			Vendor:  device.VendorNVIDIA,
			Model:   model(name),
			Memory:  scale(physical, b.opts.MemoryScaling),
			Cores:   scale(device.WholeCard, b.opts.CoreScaling),
			Slots:   device.Shares(b.opts.SplitCount),
			NUMA:    b.numa(dev),
			Healthy: true,
			Mode:    device.ModeHAMiCore,
		},
		minor:    minor,
		physical: physical,
	}, nil
}

// model gives the name the form that HAMi's annotations carry: with the vendor in front.
func model(name string) string {
	if strings.HasPrefix(name, device.VendorNVIDIA) {
		return name
	}
	return device.VendorNVIDIA + "-" + name
}

// scale rounds to the nearest unit: 1.1 times 100 is 110, whatever binary fractions make of it.
func scale[U ~uint32 | ~uint64](v U, factor float64) U {
	return U(float64(v)*factor + 0.5)
}

// numa returns the card's NUMA node. A machine without NUMA says -1, which everybody reads as 0.
func (b *Backend) numa(dev nvml.Device) int {
	if !b.has("nvmlDeviceGetPciInfo_v3") {
		return 0
	}
	pci, ret := dev.GetPciInfo()
	if ret != nvml.SUCCESS {
		return 0
	}
	// NVML writes eight digits of PCI domain, sysfs four.
	address := strings.ToLower(strings.TrimPrefix(cString(pci.BusId[:]), "0000"))
	raw, err := os.ReadFile(filepath.Join("/sys/bus/pci/devices", address, "numa_node"))
	if err != nil {
		return 0
	}
	node, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || node < 0 {
		return 0
	}
	return node
}

// has says whether the library exports a function. Call nothing optional without it.
func (b *Backend) has(symbol string) bool {
	return b.lib.Extensions().LookupSymbol(symbol) == nil
}

func cString[C ~int8 | ~uint8](chars []C) string {
	var out []byte
	for _, c := range chars {
		if c == 0 {
			break
		}
		out = append(out, byte(c))
	}
	return string(out)
}

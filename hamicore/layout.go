package hamicore

// Places inside a container. They are fixed: no environment variable moves them.
const (
	ContainerDir = "/usr/local/basalt"
	LibraryName  = "libvgpu.so"
	LimitsName   = "limits"
	RegionName   = "region"
	PreloadPath  = "/etc/ld.so.preload"
)

// The version of the layout, as in include/hc_abi.h.
const (
	Major = 1
	Minor = 0
)

// Sizes of the two files, and how much they hold.
const (
	AgentPageSize = 4096
	RegionSize    = 65536
	MaxDevices    = 16
	MaxProcesses  = 320
)

// Offsets and sizes of include/hc_abi.h. layout_test.go compares each with the C compiler's.
const (
	agentMagic  uint64 = 0x314d494c544c5342
	regionMagic uint64 = 0x31474552544c5342

	offMagic      = 0
	offMajor      = 8
	offMinor      = 12
	offHeaderSize = 16

	pageOffDeviceSize  = 20
	pageOffDeviceCount = 24
	pageOffTotalSize   = 28
	pageOffSequence    = 32
	pageOffPodUID      = 64
	pageOffContainer   = 192
	pageOffDevices     = 384
	nameSize           = 128

	deviceSize        = 128
	deviceOffUUID     = 0
	deviceOffLimit    = 64
	deviceOffContext  = 72
	deviceOffPhysical = 80
	deviceOffCores    = 88
	uuidSize          = 64

	regionOffCardSize       = 20
	regionOffCardCount      = 24
	regionOffSlotSize       = 28
	regionOffSlotCount      = 32
	regionOffTotalSize      = 36
	regionOffDirty          = 40
	regionOffUnknownSymbols = 64
	regionOffForeignDrivers = 72
	regionOffSlotsExhausted = 80
	regionOffSlotsReaped    = 88
	regionOffCards          = 256
	regionOffSlots          = 2304

	cardSize        = 128
	cardOffUsed     = 0
	slotSize        = 192
	slotOffOwner    = 0
	slotOffStart    = 8
	slotOffTxns     = 16
	slotOffUsed     = 64
	slotStateShift  = 32
	slotFree        = 0
	slotLive        = 1
	maxPlausibleUse = 1 << 50 // 1 PiB: far above any card, far below what could wrap a sum
)

package scenarios

// Issue is what users of GPU sharing report in public: HAMi is Project-HAMi/HAMi, CORE
// Project-HAMi/HAMi-core, VDP Project-HAMi/volcano-vgpu-device-plugin, VC volcano-sh/volcano and DRA
// Project-HAMi/k8s-dra-driver.
type Issue struct {
	Numbers []string
	// Rows hold what must happen instead.
	Rows []string
	// Elsewhere says why no row can: it is not the scheduler's.
	Elsewhere string
}

// Issues are the reports that the table answers, and those that it cannot answer, with the reason.
var Issues = []Issue{
	{
		Numbers: []string{"HAMi#1655", "HAMi#1130", "HAMi#450"},
		Rows:    []string{"many pods on one node are placed in one session"},
	},
	{
		Numbers: []string{"HAMi#1832", "HAMi#2066", "HAMi#1833", "HAMi#2589"},
		Rows: []string{
			"members of a gang on one node do not wait for each other",
			"a gang that is one too many is not placed at all and books nothing",
		},
	},
	{
		Numbers: []string{"VDP#116"},
		Rows:    []string{"the place of a refused gang goes to the next one in the same session"},
	},
	{
		Numbers: []string{"VC#5532"},
		Rows:    []string{"an annotation that names another node than the pod's is not trusted"},
	},
	{
		Numbers: []string{"VC#4809", "VC#5253", "VC#4595", "VC#4615", "VC#5326"},
		Rows:    []string{"what is bound counts once when the watch says so"},
	},
	{
		Numbers: []string{"HAMi#2923", "HAMi#1458", "HAMi#1557"},
		Rows: []string{
			"a deleted pod leaves nothing behind",
			"annotations of a pod that was never bound book nothing",
			"a refused Binding gives the card to the next pod",
		},
	},
	{
		Numbers: []string{"HAMi#1491", "HAMi#2232", "HAMi#404", "CORE#170"},
		Rows:    []string{"what is bound counts before the watch says so"},
	},
	{
		Numbers: []string{"HAMi#710", "HAMi#653", "HAMi#596", "HAMi#338", "HAMi#1548", "HAMi#790", "CORE#110"},
		Rows: []string{
			"a node whose tokens are all taken is full though its cards are not",
			"a pod that was bound past the scheduler books nothing it was not given",
		},
	},
	{Numbers: []string{"HAMi#1741", "HAMi#1032"}, Elsewhere: "which token ids a container gets is between kubelet and node agent"},
	{
		Numbers: []string{"HAMi#654", "HAMi#991", "HAMi#1667", "HAMi#2335", "HAMi#2899"},
		Rows: []string{
			"a container without devices before one with them does not shift the cards",
			"an injected sidecar in the first place leaves the cards with their containers",
		},
	},
	{
		Numbers: []string{"HAMi#2563", "HAMi#2723"},
		Rows:    []string{"a native sidecar runs beside all that follow it"},
	},
	{
		Numbers: []string{"VC#4168", "HAMi#980", "VDP#80", "VDP#54"},
		Rows: []string{
			"memory counts on every card of a pod against its queue",
			"a percentage and a card without a number count against a queue as the memory they are",
			"cores count on every card of a pod against its queue",
		},
	},
	{
		Numbers: []string{"HAMi#893", "HAMi#1393", "HAMi#2468", "HAMi#2157", "HAMi#1579", "HAMi#2536"},
		Rows:    []string{"a namespace's quota is charged totals, in percentages too"},
	},
	{
		Numbers: []string{"VDP#134", "VDP#99", "HAMi#2187", "HAMi#2287"},
		Rows:    []string{"memory is judged though the kubelet advertises none"},
	},
	{Numbers: []string{"HAMi#1445"}, Elsewhere: "the limiter bounds CUDA graphs"},
	{
		Numbers:   []string{"HAMi#737", "HAMi#786", "HAMi#332", "HAMi#2863", "CORE#37", "CORE#76", "CORE#104"},
		Elsewhere: "the limiter keeps a container to its cores",
	},
	{
		Numbers: []string{"HAMi#1003", "HAMi#1522", "HAMi#1181", "CORE#96", "CORE#187", "CORE#191", "CORE#217", "CORE#192",
			"CORE#273"},
		Elsewhere: "the limiter accounts memory",
	},
	{Numbers: []string{"CORE#181"}, Elsewhere: "the limiter shows a container its slice"},
	{Numbers: []string{"HAMi#753", "HAMi#727"}, Elsewhere: "the node agent delivers the limiter"},
	{
		Numbers:   []string{"HAMi#20", "HAMi#1834", "HAMi#2101", "CORE#174", "CORE#49"},
		Elsewhere: "the limiter is loaded into old and new C libraries",
	},
	{Numbers: []string{"HAMi#2986", "HAMi#1346", "HAMi#1713"}, Elsewhere: "the node agent injects the limiter"},
	{Numbers: []string{"HAMi#1777", "HAMi#1112", "HAMi#1050"}, Elsewhere: "the node agent writes limits where containers cannot"},
	{Numbers: []string{"HAMi#1803", "CORE#182"}, Elsewhere: "the limiter hooks Vulkan, or the node agent sees what it does not"},
	{Numbers: []string{"HAMi#1662", "CORE#159", "CORE#259"}, Elsewhere: "the limiter starts without a lock of the node"},
	{Numbers: []string{"HAMi#1340", "HAMi#235", "HAMi#700"}, Elsewhere: "the limiter lists processes"},
	{Numbers: []string{"HAMi#2138", "HAMi#2139", "HAMi#611"}, Elsewhere: "admission judges privileged pods"},
	{Numbers: []string{"HAMi#1888", "HAMi#1143", "HAMi#3099"}, Elsewhere: "the manifests grant rights"},
	{
		Numbers: []string{"HAMi#1494", "HAMi#1878", "VC#4863", "VC#3186"},
		Rows:    []string{"a pod of higher priority gets the card of a lower one though tokens are idle"},
	},
	{
		Numbers: []string{"HAMi#2264", "HAMi#2273"},
		Rows:    []string{"a node that the user prefers is taken where the devices do not mind"},
	},
	{
		Numbers:   []string{"HAMi#1099", "HAMi#2046"},
		Elsewhere: "an autoscaler asks about nodes that are not there, which no session sees",
	},
	{
		Numbers:   []string{"HAMi#1292", "HAMi#1069", "HAMi#1081"},
		Elsewhere: "the node agent would have to report memory that is used past Kubernetes; the registration has no field for it",
	},
	{
		Numbers: []string{"HAMi#2200"},
		Rows:    []string{"a card that recovers is offered again"},
	},
	{Numbers: []string{"HAMi#1794", "HAMi#1814", "HAMi#863", "HAMi#1811", "HAMi#281"}, Elsewhere: "the node agent exports metrics"},
	{Numbers: []string{"HAMi#2630", "HAMi#705", "HAMi#1128"}, Elsewhere: "the limiter swaps memory"},
	{
		Numbers: []string{"HAMi#2076", "HAMi#1708", "HAMi#1561", "HAMi#646"},
		Rows:    []string{"a node without registered cards takes no pods with devices"},
	},
	{Numbers: []string{"VDP#102"}, Elsewhere: "the node agent reads its configuration"},
	{
		Numbers: []string{"VC#4833"},
		Rows:    []string{"nodes with other accelerators hold nobody up"},
	},
	{
		Numbers: []string{"VC#4505"},
		Rows:    []string{"several containers with devices in one pod crash nobody"},
	},
	{
		Numbers: []string{"VC#3923"},
		Rows:    []string{"a registration that cannot be read offers no cards and breaks nothing else"},
	},
	{Numbers: []string{"DRA#24"}, Elsewhere: "the DRA driver injects slices"},
}

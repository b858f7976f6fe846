package e2e

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/basalt-gpu/basalt/test/cluster"
)

// fate is what the proxy does with a Binding.
type fate int

const (
	pass fate = iota
	// loseRequest: the API server never sees it, and the scheduler gets no answer.
	loseRequest
	// loseAnswer: the API server binds the pod, and the scheduler gets no answer.
	loseAnswer
)

var bindingPath = regexp.MustCompile(`^/api/v1/namespaces/([^/]+)/pods/([^/]+)/binding$`)

// proxy stands between the scheduler and the API server, under the scheduler's own identity. It
// decides the fate of each Binding and passes everything else.
type proxy struct {
	kubeconfig string

	mu      sync.Mutex
	decide  func(pod string) fate // guarded by mu
	counts  map[fate]int          // finished decisions: for loseAnswer, after the API server's answer; guarded by mu
	byPod   map[string]int        // Bindings seen by pod; guarded by mu
	stopped chan struct{}
}

// startProxy starts a proxy that passes everything, for the length of the spec.
func startProxy() *proxy {
	GinkgoHelper()
	upstream, err := clientcmd.BuildConfigFromFlags("", node.KubeconfigOf(cluster.Scheduler))
	Expect(err).NotTo(HaveOccurred())
	transport, err := rest.TransportFor(upstream)
	Expect(err).NotTo(HaveOccurred())
	target, err := url.Parse(upstream.Host)
	Expect(err).NotTo(HaveOccurred())

	p := &proxy{
		decide: func(string) fate { return pass },
		counts: map[fate]int{}, byPod: map[string]int{}, stopped: make(chan struct{}),
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      nil,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: p.handler(forward), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Close
	}()
	DeferCleanup(func() {
		close(p.stopped)
		_ = server.Close()
		<-done
	})
	p.kubeconfig = writeKubeconfig("http://" + listener.Addr().String())
	return p
}

// writeKubeconfig names a server without identity: the proxy brings its own.
func writeKubeconfig(server string) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	c := clientcmdapi.NewConfig()
	c.Clusters["proxy"] = &clientcmdapi.Cluster{Server: server}
	c.AuthInfos["proxy"] = &clientcmdapi.AuthInfo{}
	c.Contexts["proxy"] = &clientcmdapi.Context{Cluster: "proxy", AuthInfo: "proxy"}
	c.CurrentContext = "proxy"
	Expect(clientcmd.WriteToFile(*c, path)).To(Succeed())
	Expect(os.Chmod(path, 0o600)).To(Succeed())
	return path
}

// set changes how Bindings are decided from now on.
func (p *proxy) set(decide func(pod string) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// count is how many Bindings met a fate.
func (p *proxy) count(f fate) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[f]
}

// tries is how many Bindings of a pod were sent.
func (p *proxy) tries(pod string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byPod[pod]
}

func (p *proxy) add(f fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[f]++
}

func (p *proxy) handler(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		match := bindingPath.FindStringSubmatch(r.URL.Path)
		if match == nil || r.Method != http.MethodPost {
			forward.ServeHTTP(w, r)
			return
		}
		p.mu.Lock()
		f := p.decide(match[2])
		p.byPod[match[2]]++
		p.mu.Unlock()
		switch f {
		case pass:
			forward.ServeHTTP(w, r)
			p.add(pass)
			return
		case loseAnswer:
			forward.ServeHTTP(discard{http.Header{}}, r)
		}
		p.add(f)
		select { // until the scheduler gives up
		case <-r.Context().Done():
		case <-p.stopped:
		}
		// Breaks the connection without an answer.
		panic(http.ErrAbortHandler)
	})
}

// discard is an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// Package api talks to the cluster's API server from any network namespace: kubeconfigs, client
// configurations, server-side apply of manifests, and tokens of service accounts.
package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/basalt-gpu/basalt/test/cluster/internal/layout"
	"github.com/basalt-gpu/basalt/test/cluster/internal/netns"
	"github.com/basalt-gpu/basalt/test/cluster/internal/pki"
)

// fieldManager owns what this program applies.
const fieldManager = "basalt-cluster"

// Config loads a kubeconfig for use by this process: connections are made inside the cluster's
// namespace, never through a proxy of the environment.
func Config(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig %s: %w", kubeconfig, err)
	}
	config.Dial = netns.Dial
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	config.QPS, config.Burst = 500, 1000
	return config, nil
}

// WriteCertKubeconfig stores a kubeconfig with a client certificate.
func WriteCertKubeconfig(path string, ca []byte, pair pki.Pair) error {
	return writeKubeconfig(path, ca, &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key})
}

// WriteTokenKubeconfig stores a kubeconfig with a bearer token.
func WriteTokenKubeconfig(path string, ca []byte, token string) error {
	return writeKubeconfig(path, ca, &clientcmdapi.AuthInfo{Token: token})
}

func writeKubeconfig(path string, ca []byte, user *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["basalt-test"] = &clientcmdapi.Cluster{Server: layout.APIServerURL, CertificateAuthorityData: ca}
	config.AuthInfos["user"] = user
	config.Contexts["basalt-test"] = &clientcmdapi.Context{Cluster: "basalt-test", AuthInfo: "user"}
	config.CurrentContext = "basalt-test"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make kubeconfig directory: %w", err)
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return nil
}

// ServiceAccountToken asks for a token of a service account, bound to an object when one is given.
func ServiceAccountToken(ctx context.Context, client kubernetes.Interface, namespace, name string, bound *authenticationv1.BoundObjectReference) (string, error) {
	seconds := int64((30 * 24 * time.Hour).Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, BoundObjectRef: bound}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of service account %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}

// ApplyFiles applies every object of the given manifests server-side, namespaces first, and waits
// until the definitions among them are served.
func ApplyFiles(ctx context.Context, config *rest.Config, paths ...string) (int, error) {
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		found, err := decodeFile(path)
		if err != nil {
			return 0, err
		}
		objects = append(objects, found...)
	}
	return len(objects), apply(ctx, config, namespacesFirst(objects))
}

// YAMLFiles lists the manifests of a folder, in name order.
func YAMLFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}
	var paths []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".yaml") {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths, nil
}

func apply(ctx context.Context, config *rest.Config, objects []*unstructured.Unstructured) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make API client: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("make discovery client: %w", err)
	}
	groups, err := restmapper.GetAPIGroupResources(disco)
	if err != nil {
		return fmt.Errorf("discover API resources: %w", err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	for _, object := range objects {
		resource, err := resourceFor(client, mapper, object)
		if err != nil {
			return err
		}
		options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
		if _, err := resource.Apply(ctx, object.GetName(), object, options); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return waitEstablished(ctx, client, mapper, objects)
}

func resourceFor(client dynamic.Interface, mapper meta.RESTMapper, object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, fmt.Errorf("find API resource of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return client.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return client.Resource(mapping.Resource).Namespace(namespace), nil
}

func waitEstablished(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, objects []*unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, object := range objects {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		resource, err := resourceFor(client, mapper, object)
		if err != nil {
			return err
		}
		for !established(ctx, resource, object.GetName()) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("definition %s is not served after a minute", object.GetName())
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}

func established(ctx context.Context, resource dynamic.ResourceInterface, name string) bool {
	object, err := resource.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == "Established" && condition["status"] == "True" {
			return true
		}
	}
	return false
}

func decodeFile(path string) ([]*unstructured.Unstructured, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open manifest: %w", err)
	}
	defer f.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(f, 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode manifest %s: %w", path, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

func namespacesFirst(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var namespaces, rest []*unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			namespaces = append(namespaces, object)
		} else {
			rest = append(rest, object)
		}
	}
	return append(namespaces, rest...)
}

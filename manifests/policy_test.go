// Package manifests_test evaluates the admission policies of this folder with the API server's own
// evaluator, rule by rule. That the API server asks them for these resources, among them a pod's
// bindings, is shown by the end-to-end suite.
package manifests_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	celgo "github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

const (
	scheduler   = "system:serviceaccount:basalt-system:basalt-scheduler"
	agent       = "system:serviceaccount:basalt-system:basalt-device-plugin"
	tenant      = "alice"
	nodeNameKey = "authentication.kubernetes.io/node-name"
)

type annotations = map[string]string

// request is one API request, as the policies see it.
type request struct {
	user        user.DefaultInfo
	resource    string
	subresource string
	old, new    runtime.Object
}

func pod(a annotations) *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "team", Annotations: a}}
}

func binding(a annotations) *corev1.Binding {
	return &corev1.Binding{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Binding"}, ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "team", Annotations: a}}
}

func node(name string) *corev1.Node {
	return &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func create(name string, object runtime.Object) request {
	r := request{user: user.DefaultInfo{Name: name}, resource: "pods", new: object}
	if _, ok := object.(*corev1.Binding); ok {
		r.subresource = "binding"
	}
	return r
}

func update(name, subresource string, before, after annotations) request {
	return request{user: user.DefaultInfo{Name: name}, resource: "pods", subresource: subresource, old: pod(before), new: pod(after)}
}

func TestAllocationPolicy(t *testing.T) {
	const key = "basalt.io/allocation"
	tests := map[string]struct {
		request request
		// wantRefused names the key of the refusal; empty: allowed.
		wantRefused string
	}{
		"a pod without annotations":                     {request: create(tenant, pod(nil))},
		"a pod with annotations of its owner":           {request: create(tenant, pod(annotations{"team/x": "y"}))},
		"a pod with wishes about its card":              {request: create(tenant, pod(annotations{"nvidia.com/use-gpuuuid": "GPU-a", "hami.io/gpu-scheduler-policy": "spread", "volcano.sh/vgpu-mode": "mig", "huawei.com/vnpu-mode": "hami-core", "mthreads.com/request-gpu-num": "1"}))},
		"a new pod with an allocation":                  {request: create(tenant, pod(annotations{key: "x"})), wantRefused: key},
		"the empty value is a value":                    {request: create(tenant, pod(annotations{key: ""})), wantRefused: key},
		"a new pod with HAMi's node":                    {request: create(tenant, pod(annotations{"hami.io/vgpu-node": "n"})), wantRefused: "hami.io/vgpu-node"},
		"a new pod with HAMi's list of cards":           {request: create(tenant, pod(annotations{"hami.io/vgpu-devices-allocated": "x"})), wantRefused: "hami.io/vgpu-devices-allocated"},
		"a new pod with HAMi's list of work":            {request: create(tenant, pod(annotations{"hami.io/vgpu-devices-to-allocate": "x"})), wantRefused: "hami.io/vgpu-devices-to-allocate"},
		"a new pod with a vendor's list in HAMi's form": {request: create(tenant, pod(annotations{"hami.io/Ascend910B4-1-devices-allocated": "x"})), wantRefused: "hami.io/Ascend910B4-1-devices-allocated"},
		"a new pod with MIG instances":                  {request: create(tenant, pod(annotations{"hami.io/vgpu-mig-allocations": "x"})), wantRefused: "hami.io/vgpu-mig-allocations"},
		"a new pod with Volcano's cards":                {request: create(tenant, pod(annotations{"volcano.sh/vgpu-ids-new": "x"})), wantRefused: "volcano.sh/vgpu-ids-new"},
		"a new pod with a chip of Ascend":               {request: create(tenant, pod(annotations{"huawei.com/Ascend310P": "[]"})), wantRefused: "huawei.com/Ascend310P"},
		"a new pod with an assignment of Enflame":       {request: create(tenant, pod(annotations{"enflame.com/gcu-assigned-minor": "0"})), wantRefused: "enflame.com/gcu-assigned-minor"},
		"a new pod with a card of Cambricon":            {request: create(tenant, pod(annotations{"CAMBRICON_DSMLU_PROFILE": "0_1_1"})), wantRefused: "CAMBRICON_DSMLU_PROFILE"},
		"the node agent is no writer":                   {request: create(agent, pod(annotations{key: "x"})), wantRefused: key},
		"an administrator is no writer":                 {request: create("admin", pod(annotations{key: "x"})), wantRefused: key},
		"the scheduler may":                             {request: create(scheduler, pod(annotations{key: "x"}))},

		"an allocation added to a pod":         {request: update(tenant, "", nil, annotations{key: "x"}), wantRefused: key},
		"an allocation changed":                {request: update(tenant, "", annotations{key: "x"}, annotations{key: "y"}), wantRefused: key},
		"an allocation removed":                {request: update(tenant, "", annotations{key: "x"}, nil), wantRefused: key},
		"an allocation kept":                   {request: update(tenant, "", annotations{key: "x"}, annotations{key: "x", "team/x": "y"})},
		"an unrelated annotation removed":      {request: update(tenant, "", annotations{key: "x", "team/x": "y"}, annotations{key: "x"})},
		"an allocation added through status":   {request: update(tenant, "status", nil, annotations{key: "x"}), wantRefused: key},
		"an allocation changed through resize": {request: update(tenant, "resize", annotations{key: "x"}, annotations{key: "y"}), wantRefused: key},
		"status reported with an allocation":   {request: update("system:node:n", "status", annotations{key: "x"}, annotations{key: "x"})},
		"the scheduler reports status":         {request: update(scheduler, "status", nil, annotations{key: "x"})},

		"a tenant's binding with an allocation":    {request: create(tenant, binding(annotations{key: "x"})), wantRefused: key},
		"a tenant's binding without":               {request: create(tenant, binding(nil))},
		"the scheduler's binding with one":         {request: create(scheduler, binding(annotations{key: "x"}))},
		"the default scheduler's plain binding":    {request: create("system:kube-scheduler", binding(nil))},
		"the default scheduler forges an ordering": {request: create("system:kube-scheduler", binding(annotations{key: "x"})), wantRefused: key},
	}
	policy := load(t, "allocation-policy.yaml")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			checkRefusal(t, evaluate(t, policy, tc.request), tc.wantRefused)
		})
	}
}

func TestNodeAgentPolicy(t *testing.T) {
	from := func(name string, nodes ...string) user.DefaultInfo {
		info := user.DefaultInfo{Name: name}
		if len(nodes) > 0 {
			info.Extra = map[string][]string{nodeNameKey: nodes}
		}
		return info
	}
	tests := map[string]struct {
		user        user.DefaultInfo
		node        string
		wantRefused string
	}{
		"its own node":                  {user: from(agent, "a"), node: "a"},
		"another node":                  {user: from(agent, "a"), node: "b", wantRefused: "its token names a"},
		"a token that names no node":    {user: from(agent), node: "a", wantRefused: "its token names none"},
		"the kubelet is not asked":      {user: from("system:node:b"), node: "a"},
		"an administrator is not asked": {user: from("admin"), node: "a"},
	}
	policy := load(t, "node-agent-policy.yaml")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := request{user: tc.user, resource: "nodes", old: node(tc.node), new: node(tc.node)}
			checkRefusal(t, evaluate(t, policy, r), tc.wantRefused)
		})
	}
}

func checkRefusal(t *testing.T, refusal, wantRefused string) {
	t.Helper()
	if (refusal != "") != (wantRefused != "") {
		t.Fatalf("refusal %q, want one: %t", refusal, wantRefused != "")
	}
	if !strings.Contains(refusal, wantRefused) {
		t.Errorf("refusal %q does not name %q", refusal, wantRefused)
	}
}

// load reads the policy of a manifest.
func load(t *testing.T, path string) *admissionregistrationv1.ValidatingAdmissionPolicy {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
		if err := decoder.Decode(policy); errors.Is(err, io.EOF) {
			t.Fatalf("%s holds no policy", path)
		} else if err != nil {
			t.Fatal(err)
		}
		if policy.Kind == "ValidatingAdmissionPolicy" {
			return policy
		}
	}
}

// expression is a policy's expression, as the evaluator takes it.
type expression struct{ name, text string }

func (e expression) GetName() string       { return e.name }
func (e expression) GetExpression() string { return e.text }

func (e expression) ReturnTypes() []*celgo.Type { return []*celgo.Type{celgo.AnyType, celgo.DynType} }

// evaluate compiles and runs a policy as the API server does, and returns the first refusal.
func evaluate(t *testing.T, policy *admissionregistrationv1.ValidatingAdmissionPolicy, r request) (refusal string) {
	t.Helper()
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion(), true))
	if err != nil {
		t.Fatal(err)
	}
	options := cel.OptionalVariableDeclarations{StrictCost: true}
	for _, v := range policy.Spec.Variables {
		if result := compiler.CompileAndStoreVariable(expression{v.Name, v.Expression}, options, environment.StoredExpressions); result.Error != nil {
			t.Fatalf("variable %s: %v", v.Name, result.Error)
		}
	}
	run := func(text string) cel.EvaluationResult {
		evaluator := compiler.CompileCondition([]cel.ExpressionAccessor{expression{text: text}}, options, environment.StoredExpressions)
		for _, err := range evaluator.CompilationErrors() {
			t.Fatalf("compile %s: %v", text, err)
		}
		a := attributes(r)
		asked := cel.CreateAdmissionRequest(a.Attributes, metav1.GroupVersionResource(a.GetResource()), metav1.GroupVersionKind(a.VersionedKind))
		results, _, err := evaluator.ForInput(t.Context(), a, asked, cel.OptionalVariableBindings{}, nil, celconfig.RuntimeCELCostBudget)
		if err != nil || len(results) != 1 || results[0].Error != nil {
			t.Fatalf("evaluate %s: %v: %+v", text, err, results)
		}
		return results[0]
	}
	for _, condition := range policy.Spec.MatchConditions {
		if run(condition.Expression).EvalResult.Value() != true {
			return ""
		}
	}
	for _, rule := range policy.Spec.Validations {
		if run(rule.Expression).EvalResult.Value() != true {
			return run(rule.MessageExpression).EvalResult.Value().(string)
		}
	}
	return ""
}

func attributes(r request) *admission.VersionedAttributes {
	kind := r.new.GetObjectKind().GroupVersionKind()
	operation := admission.Create
	if r.old != nil {
		operation = admission.Update
	}
	record := admission.NewAttributesRecord(r.new, r.old, kind, "team", "p", schema.GroupVersionResource{Version: "v1", Resource: r.resource},
		r.subresource, operation, nil, false, &r.user)
	return &admission.VersionedAttributes{Attributes: record, VersionedObject: r.new, VersionedOldObject: r.old, VersionedKind: kind}
}

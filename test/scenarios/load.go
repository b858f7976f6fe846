package scenarios

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

//go:embed rows/*.yaml
var files embed.FS

// Runners are the names that a row's skip field may use.
var Runners = []string{"core", "volcano"}

// Topic is the rows of one file.
type Topic struct {
	Name string
	Rows []Row
}

// All returns the whole table, by topic. It fails on the first file that is not well formed. Callers
// must not change what it returns.
func All() ([]Topic, error) { return all() }

var all = sync.OnceValues(readAll)

func readAll() ([]Topic, error) {
	entries, err := fs.ReadDir(files, "rows")
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	var topics []Topic
	seen := map[string]string{}
	for _, e := range entries {
		text, err := fs.ReadFile(files, path.Join("rows", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read rows: %w", err)
		}
		rows, err := Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		for _, r := range rows {
			if other, twice := seen[r.Name]; twice {
				return nil, fmt.Errorf("%s: row %q is in %s too", e.Name(), r.Name, other)
			}
			seen[r.Name] = e.Name()
		}
		topics = append(topics, Topic{Name: strings.TrimSuffix(e.Name(), ".yaml"), Rows: rows})
	}
	return topics, nil
}

// Decode reads the rows of one file. Unknown and repeated fields are errors.
func Decode(text []byte) ([]Row, error) {
	var rows []Row
	if err := yaml.UnmarshalStrict(text, &rows); err != nil {
		return nil, err
	}
	var errs field.ErrorList
	for i := range rows {
		errs = append(errs, rows[i].validate(field.NewPath("rows").Index(i))...)
	}
	return rows, errs.ToAggregate()
}

func (r *Row) validate(path *field.Path) field.ErrorList {
	if r.Name != "" {
		path = field.NewPath("rows").Key(r.Name)
	}
	errs := required(path.Child("name"), r.Name)
	for runner, why := range r.Skip {
		if !slices.Contains(Runners, runner) {
			errs = append(errs, field.NotSupported(path.Child("skip"), runner, Runners))
		}
		errs = append(errs, required(path.Child("skip").Key(runner), why)...)
	}
	for i := range r.Nodes {
		errs = append(errs, r.Nodes[i].validate(path.Child("nodes").Index(i))...)
	}
	checks := false
	for i := range r.Steps {
		s := &r.Steps[i]
		errs = append(errs, s.validate(path.Child("steps").Index(i))...)
		checks = checks || s.checks()
	}
	if !checks {
		errs = append(errs, field.Required(path.Child("steps"), "a row that expects nothing cannot fail"))
	}
	return errs
}

func required(path *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "must not be empty")}
	}
	return nil
}

// registrations are who may have registered a node's cards.
var registrations = []string{"", RegisteredByAgent, RegisteredByHAMi, RegisteredByVolcano, RegisteredByNobody}

func (n *Node) validate(path *field.Path) field.ErrorList {
	errs := required(path.Child("name"), n.Name)
	if !slices.Contains(registrations, n.Register) {
		errs = append(errs, field.NotSupported(path.Child("register"), n.Register, registrations[1:]))
	}
	names := n.uuids()
	for uuid := range n.But {
		if !slices.Contains(names, uuid) {
			errs = append(errs, field.NotSupported(path.Child("but"), uuid, names))
		}
	}
	return errs
}

// set returns the names of the fields that say something.
func (s *Step) set() []string {
	var names []string
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

func (s *Step) checks() bool { return s.Expect != nil || s.Use != nil || s.Evicted != nil }

func (s *Step) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if set := s.set(); len(set) != 1 {
		errs = append(errs, field.Invalid(path, set, "a step is exactly one thing"))
	}
	if w := s.Submit; w != nil {
		errs = append(errs, w.validate(path.Child("submit"))...)
	}
	if s.Node != nil {
		errs = append(errs, s.Node.validate(path.Child("node"))...)
	}
	if !slices.Contains([]string{"", watchDelayed, watchDelivered}, s.Watch) {
		errs = append(errs, field.NotSupported(path.Child("watch"), s.Watch, []string{watchDelayed, watchDelivered}))
	}
	return errs
}

func (w *Work) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if (w.Pod == "") == (w.Job == "") {
		errs = append(errs, field.Invalid(path, w.Pod+w.Job, "is a pod or a job"))
	}
	if len(w.Roles) > 0 && (w.Replicas != 0 || w.Limits != nil || w.Containers != nil) {
		errs = append(errs, field.Forbidden(path.Child("roles"), "a job with roles has its pods there"))
	}
	return errs
}

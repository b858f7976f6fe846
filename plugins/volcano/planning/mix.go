package planning

import (
	"cmp"
	"maps"
	"slices"

	"volcano.sh/volcano/pkg/scheduler/api"
)

// mix remembers which jobs were counted in the recent mix of shapes, each once.
type mix map[api.JobID]bool

// observe counts the tasks of jobs that are new and complete. Those that run count too: after a restart
// the mix is what runs.
func (x mix) observe(m *mirror, jobs map[api.JobID]*api.JobInfo) {
	maps.DeleteFunc(x, func(id api.JobID, _ bool) bool { return jobs[id] == nil })
	var fresh []*api.JobInfo
	for id, job := range jobs {
		if !x[id] && len(job.Tasks) > 0 && len(job.Tasks) >= int(job.MinAvailable) {
			fresh = append(fresh, job)
		}
	}
	// The mix forgets, so it matters what comes first.
	slices.SortFunc(fresh, func(a, b *api.JobInfo) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	for _, job := range fresh {
		x[job.UID] = true
		for _, task := range slices.SortedFunc(maps.Values(job.Tasks), byName) {
			m.pool.Observe(m.shape(task), 1)
		}
	}
}

func byName(a, b *api.TaskInfo) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}

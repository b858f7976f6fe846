package kubelet

import (
	"context"

	"google.golang.org/grpc"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Token is one unit of a count resource as the kubelet sees it.
type Token struct {
	ID      string
	Healthy bool
}

// Tokens is what an endpoint advertises.
type Tokens interface {
	// Subscribe returns a channel that is ready whenever List may have changed, and a function that
	// ends the subscription.
	Subscribe() (<-chan struct{}, func())
	List(resource string) []Token
}

// Handler answers the kubelet's calls about containers.
type Handler interface {
	// Allocate returns the qualified CDI name for one container. It refuses nothing: an error here
	// fails the pod for good, while one in PreStart is tried again.
	Allocate(resource string, ids []string) string
	// PreStart makes ready every container that holds one of the tokens, or says why not.
	PreStart(ctx context.Context, resource string, ids []string) error
}

// service is the gRPC side of one session of an endpoint.
type service struct {
	pluginapi.UnimplementedDevicePluginServer
	resource string
	tokens   Tokens
	handler  Handler
	stop     <-chan struct{} // closed when the session ends
	dropped  chan<- struct{} // told, without blocking, when the kubelet leaves the stream
}

func (s *service) GetDevicePluginOptions(context.Context, *pluginapi.Empty) (*pluginapi.DevicePluginOptions, error) {
	return options(), nil
}

// PreStartRequired is what makes exact identity possible: the kubelet calls PreStartContainer after
// its checkpoint names the holder and before the container is created, on every restart too.
func options() *pluginapi.DevicePluginOptions {
	return &pluginapi.DevicePluginOptions{PreStartRequired: true}
}

func (s *service) ListAndWatch(_ *pluginapi.Empty, stream grpc.ServerStreamingServer[pluginapi.ListAndWatchResponse]) error {
	changed, cancel := s.tokens.Subscribe()
	defer cancel()
	defer func() {
		select {
		case s.dropped <- struct{}{}:
		default:
		}
	}()
	for {
		if err := stream.Send(&pluginapi.ListAndWatchResponse{Devices: s.devices()}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		case <-s.stop:
			return nil
		}
	}
}

func (s *service) devices() []*pluginapi.Device {
	tokens := s.tokens.List(s.resource)
	out := make([]*pluginapi.Device, 0, len(tokens))
	for _, t := range tokens {
		d := &pluginapi.Device{ID: t.ID, Health: pluginapi.Healthy}
		if !t.Healthy {
			d.Health = pluginapi.Unhealthy
		}
		out = append(out, d)
	}
	return out
}

func (s *service) Allocate(_ context.Context, r *pluginapi.AllocateRequest) (*pluginapi.AllocateResponse, error) {
	resp := &pluginapi.AllocateResponse{}
	for _, c := range r.GetContainerRequests() {
		resp.ContainerResponses = append(resp.ContainerResponses, &pluginapi.ContainerAllocateResponse{
			CdiDevices: []*pluginapi.CDIDevice{{Name: s.handler.Allocate(s.resource, c.GetDevicesIds())}},
		})
	}
	return resp, nil
}

func (s *service) PreStartContainer(ctx context.Context, r *pluginapi.PreStartContainerRequest) (*pluginapi.PreStartContainerResponse, error) {
	if err := s.handler.PreStart(ctx, s.resource, r.GetDevicesIds()); err != nil {
		return nil, err
	}
	return &pluginapi.PreStartContainerResponse{}, nil
}

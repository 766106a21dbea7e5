package memnet_test

import (
	"testing"

	"github.com/bop-platform/bop/modules/raft"
	"github.com/bop-platform/bop/modules/raft/memnet"
	"github.com/bop-platform/bop/modules/raft/transporttest"
)

type network struct{ *memnet.Network }

const queue = 4 << 20

func (n network) Open(_ *testing.T, id raft.NodeID) raft.Transport { return n.Host(id) }
func (n network) Address(id raft.NodeID) string                    { return memnet.Address(id) }
func (n network) QueueBytes() int                                  { return queue }

func TestTheContractOfTransports(t *testing.T) {
	transporttest.Run(t, func(*testing.T) transporttest.Network {
		return network{memnet.New(memnet.Options{QueueBytes: queue})}
	})
}

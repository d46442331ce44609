package segment

import (
	"encoding/binary"

	"github.com/nexus-erp/eventstream/keys"
)

// Resum makes the sum of a forged segment right.
func Resum(first keys.Position, value []byte) {
	binary.BigEndian.PutUint64(value[segmentSummed:], segmentSum(first, value))
}

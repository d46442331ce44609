package source

// Queue holds what a decoder found in one step, blocks and bad records in file
// order, until they are asked for.
type Queue struct {
	items []item
}

type item struct {
	block Block
	err   error
}

// Add appends a block.
func (q *Queue) Add(records []Record) {
	q.items = append(q.items, item{block: Block{Records: records}})
}

// Fail appends an error.
func (q *Queue) Fail(err error) { q.items = append(q.items, item{err: err}) }

// Next takes the first item out. It reports false if there is none.
func (q *Queue) Next() (Block, error, bool) { //nolint:revive // the third result is not the error
	if len(q.items) == 0 {
		return Block{}, nil, false
	}
	first := q.items[0]
	q.items = q.items[1:]
	return first.block, first.err, true
}

package model_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

// collect returns what a read yields.
func collect[T any](t failer, what string, seq iter.Seq2[T, error]) (items []T) {
	t.Helper()
	for item, err := range seq {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		items = append(items, item)
	}
	return items
}

func (m *machine) read(s source) {
	tenant := pick(s, "tenant", tenantNames)
	switch s.upTo("read", 4) {
	case 0:
		m.readStream(s, tenant)
	case 1:
		m.readAll(s, tenant)
	case 2:
		m.streams(s, tenant)
	default:
		m.lookUp(s, tenant)
	}
}

func (m *machine) readStream(s source, tenant string) {
	stream := pick(s, "stream", streamNames)
	want := m.oracle.Stream(tenant, stream)
	var opts []eventstream.ReadOption
	if s.oneIn("from", 2) {
		from := s.upTo("version from", len(want)+1)
		opts = append(opts, eventstream.From(eventstream.Version(from)))
		want = slices.DeleteFunc(want, func(e model.Event) bool { return int(e.Version) < from })
	}
	if s.oneIn("to", 2) {
		to := 1 + s.upTo("version to", len(want)+1)
		opts = append(opts, eventstream.To(eventstream.Version(to)))
		want = slices.DeleteFunc(want, func(e model.Event) bool { return int(e.Version) > to })
	}
	m.compareRead(s, fmt.Sprintf("stream %s/%s", tenant, stream), want, opts, func(opts ...eventstream.ReadOption) iter.Seq2[eventstream.Event, error] {
		return m.db.Tenant(tenant).ReadStream(ctx, stream, opts...)
	})
}

func (m *machine) readAll(s source, tenant string) {
	q := s.query(m.oracle.Head())
	q = model.Query{Types: q.Types, Categories: q.Categories, After: q.After, Until: q.Until}
	opts := []eventstream.ReadOption{eventstream.After(q.After)}
	if len(q.Types) > 0 {
		opts = append(opts, eventstream.Types(q.Types...))
	}
	if len(q.Categories) > 0 {
		opts = append(opts, eventstream.Category(q.Categories[0]))
	}
	if q.Until > 0 {
		opts = append(opts, eventstream.Until(q.Until))
	}
	m.compareRead(s, fmt.Sprintf("log of %s, %+v", tenant, q), m.oracle.Find(tenant, q), opts, func(opts ...eventstream.ReadOption) iter.Seq2[eventstream.Event, error] {
		return m.db.Tenant(tenant).ReadAll(ctx, opts...)
	})
}

// compareRead reads with some more options that every read takes.
func (m *machine) compareRead(s source, what string, want []model.Event, opts []eventstream.ReadOption, read func(...eventstream.ReadOption) iter.Seq2[eventstream.Event, error]) {
	if s.oneIn("backward", 2) {
		opts = append(opts, eventstream.Backward())
		slices.Reverse(want)
	}
	if s.oneIn("limited", 2) {
		limit := 1 + s.upTo("limit", 5)
		opts = append(opts, eventstream.Limit(limit))
		want = want[:min(limit, len(want))]
	}
	if differ := model.Compare(collect(s, what, read(opts...)), want); differ != "" {
		s.Fatalf("%s: %s", what, differ)
	}
}

func (m *machine) streams(s source, tenant string) {
	prefix := pick(s, "prefix", []string{"", "a", "a-a", "a-a-1", "a-a-10", "plain", "z"})
	got := collect(s, "streams", m.db.Tenant(tenant).Streams(ctx, prefix))
	if want := m.oracle.Streams(tenant, prefix); fmt.Sprint(got) != fmt.Sprint(want) {
		s.Fatalf("streams of %s with prefix %q: got %+v, want %+v", tenant, prefix, got, want)
	}
	stream := pick(s, "stream", streamNames)
	info, err := m.db.Tenant(tenant).Stream(ctx, stream)
	want := m.oracle.Streams(tenant, string(stream))
	i := slices.IndexFunc(want, func(info eventstream.StreamInfo) bool { return info.Stream == stream })
	switch {
	case i < 0 && !errors.Is(err, eventstream.ErrStreamNotFound):
		s.Fatalf("stream %s/%s: got %+v and error %v, want ErrStreamNotFound", tenant, stream, info, err)
	case i >= 0 && (err != nil || fmt.Sprint(info) != fmt.Sprint(want[i])):
		s.Fatalf("stream %s/%s: got %+v and error %v, want %+v", tenant, stream, info, err, want[i])
	}
}

func (m *machine) lookUp(s source, tenant string) {
	p := eventstream.Position(s.upTo("position", int(m.oracle.Head())+1))
	want, ok := m.oracle.At(p)
	ok = ok && want.Tenant == tenant
	got, err := m.db.Tenant(tenant).EventAt(ctx, p)
	m.compareFound(s, fmt.Sprintf("position %d for %s", p, tenant), got, err, want, ok)
	id := want.ID // also of another tenant
	if want, ok = m.oracle.ByID(tenant, id); id.IsZero() {
		return
	}
	got, err = m.db.Tenant(tenant).Event(ctx, id)
	m.compareFound(s, fmt.Sprintf("event %s for %s", id, tenant), got, err, want, ok)
}

func (m *machine) compareFound(s source, what string, got eventstream.Event, err error, want model.Event, ok bool) {
	if !ok {
		if !errors.Is(err, eventstream.ErrEventNotFound) && !errors.Is(err, eventstream.ErrInvalidArgument) {
			s.Fatalf("%s: got %+v and error %v, want ErrEventNotFound", what, got, err)
		}
		return
	}
	if differ := model.Compare([]eventstream.Event{got}, []model.Event{want}); err != nil || differ != "" {
		s.Fatalf("%s: %s, error %v", what, differ, err)
	}
}

// query asks a question in three ways: at once, counted, and page by page.
func (m *machine) query(s source) {
	tenant, q := pick(s, "tenant", tenantNames), s.query(m.oracle.Head())
	want := m.oracle.Find(tenant, q)
	what := fmt.Sprintf("query of %s, %+v", tenant, q)
	if differ := model.Compare(collect(s, what, m.db.Tenant(tenant).Query(ctx, q.Build())), want); differ != "" {
		s.Fatalf("%s: %s", what, differ)
	}
	if n, err := m.db.Tenant(tenant).Count(ctx, q.Build()); err != nil || n != uint64(len(want)) {
		s.Fatalf("%s: got count %d and error %v, want %d", what, n, err, len(want))
	}
	page := eventstream.PageOptions{Size: 1 + s.upTo("page", 4)}
	var paged []eventstream.Event
	for {
		got, err := m.db.Tenant(tenant).QueryPage(ctx, q.Build(), page)
		if err != nil || len(got.Events) > page.Size {
			s.Fatalf("%s: got a page of %d and error %v, want at most %d", what, len(got.Events), err, page.Size)
		}
		paged = append(paged, got.Events...)
		if page.Cursor != "" && got.Next != "" {
			m.met["page of several"]++
		}
		if page.Cursor = got.Next; page.Cursor == "" {
			break
		}
	}
	if differ := model.Compare(paged, want); differ != "" {
		s.Fatalf("%s, by pages: %s", what, differ)
	}
}

// follow reads as a follower that begins anywhere, up to what is there.
func (m *machine) follow(s source) {
	tenant := pick(s, "tenant", tenantNames)
	after := eventstream.Position(s.upTo("after", int(m.oracle.Head())))
	want := m.oracle.Find(tenant, model.Query{After: after})
	if len(want) == 0 {
		s.Skip("it would wait")
	}
	got := collect(s, "follow", m.db.Tenant(tenant).Follow(ctx, eventstream.After(after), eventstream.Limit(len(want))))
	if differ := model.Compare(got, want); differ != "" {
		s.Fatalf("follower of %s after %d: %s", tenant, after, differ)
	}
}

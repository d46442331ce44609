package eventstream_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

// The examples of the specification of dynamic consistency boundaries (dcb.events): each is
// a rule over events of several streams, held by the query that the decision rests on.

type payload map[string]any

func data(t testing.TB, e eventstream.Event) payload {
	t.Helper()
	var p payload
	if err := e.Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

func number(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case uint64:
		return int64(n)
	default:
		var i int64
		_, _ = fmt.Sscan(fmt.Sprint(v), &i)
		return i
	}
}

func openTagged(t *testing.T) *estest.DB {
	return estest.Open(t, estest.Options(func(o *eventstream.Options) {
		o.Indexes = append(eventstream.DefaultIndexes(), eventstream.IndexTag)
	}))
}

var errRule = errors.New("the rule forbids it")

// A course takes no more students than its capacity, a student no more courses than three,
// and nobody subscribes twice.
func TestDCBCourseSubscriptions(t *testing.T) {
	t.Parallel()
	db := openTagged(t)
	define := func(course string, capacity int) error {
		q := eventstream.Query{}.Types("CourseDefined").Tag("course", course)
		return decide(db.DB, "school-course-"+eventstream.StreamID(course), q, func(events []eventstream.Event) (eventstream.NewEvent, error) {
			if len(events) > 0 {
				return eventstream.NewEvent{}, errRule
			}
			return tagged("CourseDefined", payload{"capacity": capacity}, "course", course), nil
		})
	}
	change := func(course string, capacity int) error {
		q := eventstream.Query{}.Types("CourseDefined", "CourseCapacityChanged").Tag("course", course)
		return decide(db.DB, "school-course-"+eventstream.StreamID(course), q, func(events []eventstream.Event) (eventstream.NewEvent, error) {
			if len(events) == 0 || number(data(t, events[len(events)-1])["capacity"]) == int64(capacity) {
				return eventstream.NewEvent{}, errRule
			}
			return tagged("CourseCapacityChanged", payload{"capacity": capacity}, "course", course), nil
		})
	}
	subscribe := func(student, course string) error {
		q := eventstream.Query{}.AnyOf(
			eventstream.Query{}.Types("CourseDefined", "CourseCapacityChanged", "StudentSubscribed").Tag("course", course),
			eventstream.Query{}.Types("StudentSubscribed").Tag("student", student),
		)
		return decide(db.DB, "school-student-"+eventstream.StreamID(student), q, func(events []eventstream.Event) (eventstream.NewEvent, error) {
			capacity, inCourse, ofStudent := int64(-1), int64(0), 0
			for _, e := range events {
				ofCourse := e.Metadata["course"] == course
				switch {
				case e.Type != "StudentSubscribed":
					capacity = number(data(t, e)["capacity"])
				case ofCourse && e.Metadata["student"] == student:
					return eventstream.NewEvent{}, errRule
				case ofCourse:
					inCourse++
				}
				if e.Type == "StudentSubscribed" && e.Metadata["student"] == student {
					ofStudent++
				}
			}
			if inCourse >= capacity || ofStudent >= 3 {
				return eventstream.NewEvent{}, errRule
			}
			return tagged("StudentSubscribed", nil, "course", course, "student", student), nil
		})
	}
	for n := range 5 {
		if err := define(fmt.Sprint("c", n), 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := define("c0", 5); !errors.Is(err, errRule) {
		t.Errorf("a course twice: got %v", err)
	}
	if err := change("c0", 4); err != nil {
		t.Error(err)
	}
	if err := subscribe("ada", "none"); !errors.Is(err, errRule) {
		t.Errorf("a course that does not exist: got %v", err)
	}
	var wg sync.WaitGroup
	for s := range 12 { // all want all courses, at once
		for c := range 5 {
			wg.Go(func() {
				for range 2 {
					if err := subscribe(fmt.Sprint("s", s), fmt.Sprint("c", c)); err != nil && !errors.Is(err, errRule) {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	perCourse, perStudent, pairs := map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range mustCollect(t, db.Query(ctx, eventstream.Query{}.Types("StudentSubscribed"))) {
		perCourse[e.Metadata["course"]]++
		perStudent[e.Metadata["student"]]++
		pairs[e.Metadata["course"]+e.Metadata["student"]]++
	}
	for course, n := range perCourse {
		if most := map[bool]int{true: 4, false: 10}[course == "c0"]; n > most {
			t.Errorf("%s has %d students, at most %d", course, n, most)
		}
	}
	for student, n := range perStudent {
		if n > 3 {
			t.Errorf("%s has %d courses", student, n)
		}
	}
	for pair, n := range pairs {
		if n != 1 {
			t.Errorf("%s subscribed %d times", pair, n)
		}
	}
}

// A username is free if nobody has it, or its account was closed three days ago.
func TestDCBUniqueUsername(t *testing.T) {
	t.Parallel()
	db := openTagged(t)
	q := func(name string) eventstream.Query {
		return eventstream.Query{}.Types("AccountRegistered", "AccountClosed", "UsernameChanged").AnyOf(
			eventstream.Query{}.Tag("username", name), eventstream.Query{}.Tag("former", name),
		)
	}
	free := func(events []eventstream.Event, name string) bool {
		taken, since := false, time.Time{}
		for _, e := range events {
			taken = e.Metadata["username"] == name && e.Type != "AccountClosed"
			since = e.RecordedAt
		}
		return !taken && (since.IsZero() || db.Clock.Now().Sub(since) > 3*24*time.Hour)
	}
	act := func(eventType, name, former string) error {
		return decide(db.DB, "user-account-"+eventstream.StreamID(name), q(name), func(events []eventstream.Event) (eventstream.NewEvent, error) {
			if eventType != "AccountClosed" && !free(events, name) {
				return eventstream.NewEvent{}, errRule
			}
			tags := []string{"username", name}
			if former != "" {
				tags = append(tags, "former", former)
			}
			return tagged(eventType, nil, tags...), nil
		})
	}
	for i, step := range []struct {
		eventType, name, former string
		wait                    time.Duration
		ok                      bool
	}{
		{"AccountRegistered", "ada", "", 0, true},
		{"AccountRegistered", "ada", "", 0, false},
		{"AccountRegistered", "bob", "", 0, true},
		{"UsernameChanged", "bob", "ada", 0, false},
		{"AccountClosed", "ada", "", 0, true},
		{"AccountRegistered", "ada", "", time.Hour, false},
		{"AccountRegistered", "ada", "", 72 * time.Hour, true},
		{"UsernameChanged", "eve", "ada", 0, true},
		{"AccountRegistered", "ada", "", 0, false},
		{"AccountRegistered", "ada", "", 73 * time.Hour, true},
	} {
		db.Clock.Advance(step.wait)
		if err := act(step.eventType, step.name, step.former); (err == nil) != step.ok || err != nil && !errors.Is(err, errRule) {
			t.Errorf("step %d, %+v: got %v", i, step, err)
		}
	}
}

// Invoices are numbered without a gap, whoever issues them.
func TestDCBInvoiceNumber(t *testing.T) {
	t.Parallel()
	db := openTagged(t)
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				err := decide(db.DB, eventstream.StreamID(fmt.Sprintf("sales-till-%d", w)), eventstream.Query{}.Types("InvoiceCreated"), func(events []eventstream.Event) (eventstream.NewEvent, error) {
					next := int64(1)
					if n := len(events); n > 0 {
						next = number(data(t, events[n-1])["number"]) + 1
					}
					return tagged("InvoiceCreated", payload{"number": next}), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, e := range mustCollect(t, db.Query(ctx, eventstream.Query{}.Types("InvoiceCreated"))) {
		equal(t, "number", number(data(t, e)["number"]), int64(i+1))
	}
	equal(t, "invoices", db.Head(), writers*each)
}

// A command with a token takes effect once, also under other event ids.
func TestDCBIdempotencyToken(t *testing.T) {
	t.Parallel()
	db := openTagged(t)
	order := func(token string) error {
		q := eventstream.Query{}.Types("OrderPlaced").Tag("token", token)
		_, err := db.AppendIf(ctx, eventstream.Condition{Query: q}, []eventstream.StreamAppend{
			{Stream: "shop-order-1", Expect: eventstream.Any, Events: []eventstream.NewEvent{tagged("OrderPlaced", nil, "token", token)}},
		})
		return err
	}
	if err := errors.Join(order("a"), order("b")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, order("a"), eventstream.ErrConflict)
	equal(t, "orders", db.Head(), 2)
}

// A sign-up is confirmed once, with its own token, within an hour.
func TestDCBOptInToken(t *testing.T) {
	t.Parallel()
	db := openTagged(t)
	start := func(mail, token string) error {
		_, err := db.Append(ctx, "user-signup-"+eventstream.StreamID(token), eventstream.NoStream, tagged("SignUpInitiated", payload{"mail": mail}, "otp", mail+"/"+token))
		return err
	}
	confirm := func(mail, token string) error {
		q := eventstream.Query{}.Types("SignUpInitiated", "SignUpConfirmed").Tag("otp", mail+"/"+token)
		return decide(db.DB, "user-signup-"+eventstream.StreamID(token), q, func(events []eventstream.Event) (eventstream.NewEvent, error) {
			if len(events) != 1 || db.Clock.Now().Sub(events[0].RecordedAt) > time.Hour {
				return eventstream.NewEvent{}, errRule
			}
			return tagged("SignUpConfirmed", nil, "otp", mail+"/"+token), nil
		})
	}
	if err := errors.Join(start("ada@example.org", "111"), start("bob@example.org", "222")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		mail, token string
		ok          bool
	}{
		{"ada@example.org", "999", false},
		{"ada@example.org", "222", false},
		{"ada@example.org", "111", true},
		{"ada@example.org", "111", false},
	} {
		if err := confirm(step.mail, step.token); (err == nil) != step.ok {
			t.Errorf("%+v: got %v", step, err)
		}
	}
	db.Clock.Advance(time.Hour + 1)
	if err := confirm("bob@example.org", "222"); !errors.Is(err, errRule) {
		t.Errorf("too late: got %v", err)
	}
}

// What the customer saw is the price, for ten minutes after it changed.
func TestDCBDynamicProductPrice(t *testing.T) {
	t.Parallel()
	db := openTagged(t)
	price := func(eventType, product string, cents int) {
		mustAppend(t, db.DB, "shop-product-"+eventstream.StreamID(product), eventstream.Any, tagged(eventType, payload{"cents": cents}, "product", product))
	}
	buy := func(cart map[string]int64) error {
		var alternatives []eventstream.Query
		for product := range cart {
			alternatives = append(alternatives, eventstream.Query{}.Tag("product", product))
		}
		q := eventstream.Query{}.Types("ProductDefined", "ProductPriceChanged").AnyOf(alternatives...)
		return decide(db.DB, "shop-order-1", q, func(events []eventstream.Event) (eventstream.NewEvent, error) {
			valid := map[string]map[int64]bool{}
			for _, e := range events {
				product := e.Metadata["product"]
				if valid[product] == nil || db.Clock.Now().Sub(e.RecordedAt) > 10*time.Minute {
					valid[product] = map[int64]bool{} // what was before counts no longer
				}
				valid[product][number(data(t, e)["cents"])] = true
			}
			for product, cents := range cart {
				if !valid[product][cents] {
					return eventstream.NewEvent{}, errRule
				}
			}
			return tagged("ProductsPurchased", nil), nil
		})
	}
	price("ProductDefined", "tea", 500)
	price("ProductDefined", "cup", 900)
	db.Clock.Advance(time.Hour)
	for _, step := range []struct {
		change int
		wait   time.Duration
		cart   map[string]int64
		ok     bool
	}{
		{0, 0, map[string]int64{"tea": 500, "cup": 900}, true},
		{0, 0, map[string]int64{"tea": 400, "cup": 900}, false},
		{0, 0, map[string]int64{"none": 1}, false},
		{600, time.Minute, map[string]int64{"tea": 500}, true},
		{0, 0, map[string]int64{"tea": 600}, true},
		{0, 10 * time.Minute, map[string]int64{"tea": 500}, false},
		{0, 0, map[string]int64{"tea": 600}, true},
	} {
		if step.change > 0 {
			price("ProductPriceChanged", "tea", step.change)
		}
		db.Clock.Advance(step.wait)
		if err := buy(step.cart); (err == nil) != step.ok {
			t.Errorf("%+v: got %v", step, err)
		}
	}
}

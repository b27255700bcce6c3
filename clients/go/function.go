package corral

import (
	"context"
	"encoding"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Function is a function whose results are shared. Its key is made of its argument.
type Function[A, T any] struct {
	cache       *Cache
	keyOf       func(A) (string, error)
	tagsOf      func(A) ([]string, error) // nil if no tag names what is in the argument
	build       func(context.Context, A) (T, error)
	get, forced *plan
}

// Cached makes one. The template's names are the fields of the argument, if that is a struct: {day} is its field Day, and
// every exported field has to be named, or calls that differ in it would share a value. An argument that is a text, a
// number, a bool or a TextMarshaler has one name, whichever. Tags may use the same names: Tags("day:{day}"). What is wrong
// with the templates or the options panics here, once, as in regexp.MustCompile.
func Cached[A, T any](c *Cache, template string, build func(context.Context, A) (T, error), options ...Option) *Function[A, T] {
	keyOf, named, err := fromTemplate[A](template)
	if err != nil {
		panic(err)
	}
	f := CachedBy(c, keyOf, build, options...)
	if f.tagsOf, err = tagsFrom[A](options, named); err != nil {
		panic(err)
	}
	return f
}

// CachedBy is Cached with a key that a function makes. Its Tags are taken as they are; TagsOf makes them of the value.
func CachedBy[A, T any](c *Cache, key func(A) (string, error), build func(context.Context, A) (T, error), options ...Option) *Function[A, T] {
	f := &Function[A, T]{cache: c, keyOf: key, build: build, get: c.settings.plan.with(false, options), forced: c.settings.plan.with(true, options)}
	if f.get.err != nil {
		panic(f.get.err)
	}
	return f
}

// Get is the value for this argument, built if need be.
func (f *Function[A, T]) Get(ctx context.Context, argument A) (T, error) {
	return f.ask(ctx, argument, f.get)
}

// Refresh builds although the value is fresh; the others keep getting the old one meanwhile.
func (f *Function[A, T]) Refresh(ctx context.Context, argument A) (T, error) {
	return f.ask(ctx, argument, f.forced)
}

// Invalidate makes the value for this argument stale.
func (f *Function[A, T]) Invalidate(ctx context.Context, argument A) error {
	key, err := f.keyOf(argument)
	if err != nil {
		return err
	}
	return f.cache.Invalidate(ctx, key)
}

// Key is where the value for this argument is kept.
func (f *Function[A, T]) Key(argument A) (string, error) { return f.keyOf(argument) }

func (f *Function[A, T]) ask(ctx context.Context, argument A, p *plan) (T, error) {
	key, err := f.keyOf(argument)
	if err == nil && f.tagsOf != nil {
		var tags []string
		tags, err = f.tagsOf(argument)
		p = p.tagged(tags)
	}
	if err != nil {
		var none T
		return none, err
	}
	return get(ctx, f.cache, key, p, func(ctx context.Context) (T, error) { return f.build(ctx, argument) })
}

// piece is a text of the template, or the field that stands there (-1: the argument itself).
type piece struct {
	text  string
	name  string
	field int
}

// fromTemplate also gives the template's pieces, for a plain argument has no name but those that stand there.
func fromTemplate[A any](template string) (func(A) (string, error), []piece, error) {
	argument := reflect.TypeFor[A]()
	fields := fieldsOf(argument)
	pieces, err := piecesOf(template, argument, fields)
	if err == nil {
		err = namesAll(template, pieces, fields)
	}
	if err != nil {
		return nil, nil, err
	}
	// "a:b" and "c" must not meet "a" and "b:c".
	escape := strings.NewReplacer("%", "%25", ":", "%3A").Replace
	return func(argument A) (string, error) {
		return written(template, pieces, reflect.ValueOf(&argument).Elem(), escape)
	}, pieces, nil
}

// tagsFrom makes the tags of the options from an argument, as it is: InvalidateTags("day:a:b") is to meet them. Those of
// TagsOf are the value's, and those that New was given are of calls of any kind: they are left alone.
func tagsFrom[A any](options []Option, key []piece) (func(A) ([]string, error), error) {
	var own plan
	for _, option := range options {
		option(&own)
	}
	tags := own.tags
	if own.tagsOf != nil || !slices.ContainsFunc(tags, func(tag string) bool { return strings.Contains(tag, "{") }) {
		return nil, nil
	}
	argument := reflect.TypeFor[A]()
	fields := fieldsOf(argument)
	all := make([][]piece, len(tags))
	for at, tag := range tags {
		pieces, err := piecesOf(tag, argument, fields)
		if err != nil {
			return nil, err
		}
		for _, p := range pieces {
			ofKey := func(of piece) bool { return strings.EqualFold(of.name, p.name) }
			if fields == nil && p.name != "" && !slices.ContainsFunc(key, ofKey) {
				return nil, usage("template %q: {%s} is not what the key's template calls the argument", tag, p.name)
			}
		}
		all[at] = pieces
	}
	asItIs := func(text string) string { return text }
	return func(argument A) ([]string, error) {
		made := make([]string, len(tags))
		value := reflect.ValueOf(&argument).Elem()
		for at, pieces := range all {
			tag, err := written(tags[at], pieces, value, asItIs)
			if err != nil {
				return nil, err
			}
			made[at] = tag
		}
		return made, nil
	}, nil
}

// written is the text that an argument makes of a template.
func written(template string, pieces []piece, argument reflect.Value, escape func(string) string) (string, error) {
	var made strings.Builder
	for _, p := range pieces {
		made.WriteString(p.text)
		if p.name == "" {
			continue
		}
		part := argument
		if p.field >= 0 {
			part = argument.Field(p.field)
		}
		text, refused := textOf(part, escape)
		if refused != "" {
			return "", usage("template %q: {%s} is %s, which no text can be made of", template, p.name, refused)
		}
		made.WriteString(text)
	}
	return made.String(), nil
}

// fieldsOf are the names that a template may use; nil if the argument itself is the value.
func fieldsOf(argument reflect.Type) []reflect.StructField {
	if argument.Kind() != reflect.Struct || argument.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return nil
	}
	fields := []reflect.StructField{}
	for at := range argument.NumField() {
		if field := argument.Field(at); field.IsExported() {
			fields = append(fields, field)
		}
	}
	return fields
}

func piecesOf(template string, argument reflect.Type, fields []reflect.StructField) ([]piece, error) {
	var pieces []piece
	for rest := template; rest != ""; {
		text, after, opened := strings.Cut(rest, "{")
		if !opened {
			pieces = append(pieces, piece{text: text})
			break
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed || name == "" {
			return nil, usage("template %q: a name is missing between { and }", template)
		}
		field := -1
		if fields != nil {
			at := indexFold(fields, name)
			if at < 0 {
				return nil, usage("template %q: {%s} is no field of %v, which has %s", template, name, argument, namesOf(fields))
			}
			field = fields[at].Index[0]
		}
		pieces = append(pieces, piece{text: text, name: name, field: field})
		rest = next
	}
	return pieces, nil
}

// namesAll: of calls that differ, the keys differ.
func namesAll(template string, pieces []piece, fields []reflect.StructField) error {
	named := map[int]bool{}
	for _, p := range pieces {
		if p.name != "" {
			named[p.field] = true
		}
	}
	for _, field := range fields {
		if !named[field.Index[0]] {
			return usage("template %q does not name {%s}: calls that differ in it would share a value", template, field.Name)
		}
	}
	if fields == nil && !named[-1] {
		return usage("template %q names nothing: calls that differ would share a value", template)
	}
	return nil
}

func indexFold(fields []reflect.StructField, name string) int {
	for at, field := range fields {
		if strings.EqualFold(field.Name, name) {
			return at
		}
	}
	return -1
}

func namesOf(fields []reflect.StructField) string {
	names := make([]string, len(fields))
	for at, field := range fields {
		names[at] = field.Name
	}
	return strings.Join(names, ", ")
}

// textOf is the text of one value; if there is none, the second says what it is.
func textOf(value reflect.Value, escape func(string) string) (text, refused string) {
	if value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	if !value.IsValid() {
		return "", "nil"
	}
	if marshaler, ok := value.Interface().(encoding.TextMarshaler); ok && (value.Kind() != reflect.Pointer || !value.IsNil()) {
		text, err := marshaler.MarshalText()
		if err != nil {
			return "", err.Error()
		}
		return escape(string(text)), ""
	}
	switch {
	case value.Kind() == reflect.String:
		return escape(value.String()), ""
	case value.Kind() == reflect.Bool:
		return strconv.FormatBool(value.Bool()), ""
	case value.CanInt():
		return strconv.FormatInt(value.Int(), 10), ""
	case value.CanUint():
		return strconv.FormatUint(value.Uint(), 10), ""
	case value.CanFloat() && !math.IsNaN(value.Float()):
		return strconv.FormatFloat(value.Float(), 'f', -1, 64), ""
	case value.CanFloat():
		return "", "NaN"
	}
	return "", "a " + value.Type().String()
}

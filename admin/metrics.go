package admin

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"chatpass/decision"
	"chatpass/session"
)

// Metrics counts what the rooms report. Its labels are bounded: apps, routes, issuers and codes of the
// configuration and the contract, never anything a stranger can choose. It is safe for concurrent use.
type Metrics struct {
	registry   *prometheus.Registry
	decisions  *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	requests   *prometheus.HistogramVec
	store      *prometheus.HistogramVec
	fetches    *prometheus.CounterVec
	inquiries  *prometheus.CounterVec
	distrusted prometheus.Counter
}

// NewMetrics returns metrics at zero, in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		decisions: counter("chatpass_decisions_total", "Evaluated requests.", "app", "verb", "outcome"),
		refusals:  counter("chatpass_refusals_total", "Refused requests by code.", "code"),
		requests:  histogram("chatpass_request_seconds", "Time to answer a request.", "route", "status"),
		store:     histogram("chatpass_store_seconds", "Time of a store operation.", "op"),
		fetches:   counter("chatpass_issuer_fetch_failures_total", "Fetches from an upstream issuer that did not succeed.", "issuer"),
		inquiries: counter("chatpass_liveness_total", "Answers of upstream issuers on whether a sign-in still stands.", "issuer", "answer"),
		distrusted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chatpass_forwarded_distrusted_total", Help: "Requests with an X-Forwarded-For of a peer that is not in trusted_proxies.",
		}),
	}
	m.registry.MustRegister(m.decisions, m.refusals, m.requests, m.store, m.fetches, m.inquiries, m.distrusted,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
	}, labels)
}

// Decision counts an evaluated request.
func (m *Metrics) Decision(d *decision.Decision) {
	m.decisions.WithLabelValues(d.App, d.Verb, string(d.Outcome)).Inc()
	if d.Code != "" {
		m.refusals.WithLabelValues(string(d.Code)).Inc()
	}
}

// Request observes an answered request of a route of ours.
func (m *Metrics) Request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// Store observes an operation of the store.
func (m *Metrics) Store(op string, took time.Duration, _ error) {
	m.store.WithLabelValues(op).Observe(took.Seconds())
}

// Fetch counts a fetch from an upstream issuer that did not succeed.
func (m *Metrics) Fetch(issuer string, err error) {
	if err != nil {
		m.fetches.WithLabelValues(issuer).Inc()
	}
}

// Inquiry counts what an upstream issuer said of a sign-in.
func (m *Metrics) Inquiry(q session.Inquiry) {
	m.inquiries.WithLabelValues(q.IDP, string(q.Answer)).Inc()
}

// Distrusted counts a request with an X-Forwarded-For that was not believed.
func (m *Metrics) Distrusted() { m.distrusted.Inc() }

// A Gauge is a figure that is asked for when somebody looks.
type Gauge struct {
	// Label may be empty: then there is one figure, under "".
	Name, Help, Label string
	// Read returns the figure for each value of the label.
	Read func() map[string]float64
}

// Watch shows a gauge.
func (m *Metrics) Watch(g Gauge) {
	var labels []string
	if g.Label != "" {
		labels = []string{g.Label}
	}
	m.registry.MustRegister(&gaugeCollector{g, prometheus.NewDesc(g.Name, g.Help, labels, nil)})
}

type gaugeCollector struct {
	gauge Gauge
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *gaugeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *gaugeCollector) Collect(ch chan<- prometheus.Metric) {
	for label, value := range c.gauge.Read() {
		if c.gauge.Label == "" {
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, value)
			continue
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, value, label)
	}
}

// Serves one trivial check with alexliesenfeld/health at /ht/, and the same bytes from a plain handler at /bare/.
package main

import (
	"context"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alexliesenfeld/health"
)

func main() {
	checker := health.NewChecker(
		health.WithCacheDuration(time.Second),
		health.WithCheck(health.Check{Name: "check-0", Check: func(context.Context) error { return nil }}),
	)
	handler := health.NewHandler(checker)
	recorded := httptest.NewRecorder()
	handler.ServeHTTP(recorded, httptest.NewRequest("GET", "/ht/", nil))
	body := recorded.Body.Bytes()
	http.Handle("/ht/", handler)
	http.HandleFunc("/bare/", func(response http.ResponseWriter, _ *http.Request) {
		for name, values := range recorded.Header() {
			response.Header()[name] = values
		}
		response.WriteHeader(recorded.Code)
		_, _ = response.Write(body)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8099", nil))
}

package volcano

import (
	"encoding/json"
	"net/http"

	"github.com/basalt-gpu/basalt/devicesharing/ledger"
)

// LedgerPath is where the ledger can be read over HTTP.
const LedgerPath = "/debug/basalt/ledger"

// LedgerHandler serves a ledger's state as JSON.
func LedgerHandler(l *ledger.Ledger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+LedgerPath, func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.MarshalIndent(l.Snapshot(), "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// A client that went away is its own affair.
		_, _ = w.Write(append(text, '\n'))
	})
	return mux
}

package guard

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	newest = "refused.jsonl"
	older  = "refused.1.jsonl"
)

// letter is a request that a target refused for what is in it. It holds no credentials.
type letter struct {
	Time     string `json:"time"`
	Exporter string `json:"exporter"`
	URL      string `json:"url"`
	Type     string `json:"content_type,omitempty"`
	Encoding string `json:"content_encoding,omitempty"`
	Status   int    `json:"status"`
	Answer   string `json:"answer"`
	Body     []byte `json:"body"`
}

// letters keeps them in two files that are together of a bounded size; the older one gives way.
type letters struct {
	mu     sync.Mutex
	folder string
	bound  int64
}

func newLetters(folder string) *letters {
	return &letters{folder: keptFolder(folder), bound: int64(numberOf("CHEST_REFUSED_BYTES", defaultKeptBytes))}
}

func (l *letters) keep(one letter) error {
	one.Time = time.Now().UTC().Format(time.RFC3339)
	line, err := json.Marshal(one)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err = os.MkdirAll(l.folder, 0o750); err != nil {
		return err
	}
	path := filepath.Join(l.folder, newest)
	if info, err := os.Stat(path); err == nil && info.Size()+int64(len(line)) > l.bound/2 {
		if err = os.Rename(path, filepath.Join(l.folder, older)); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}

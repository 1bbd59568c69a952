// HTTP: GET after GET over connections that are kept alive, by some clients at once.

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

func httpRequests(n *network, o options) (metrics, error) {
	client := http.Client{Transport: &http.Transport{
		DialContext:         func(context.Context, string, string) (net.Conn, error) { return n.dialHTTP() },
		MaxIdleConnsPerHost: o.concurrency,
		DisableCompression:  true,
	}}
	return repeat(o, func() error {
		response, err := client.Get("http://server/")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && string(body) != greeting {
			err = fmt.Errorf("the body is %q", body)
		}
		return err
	}), nil
}

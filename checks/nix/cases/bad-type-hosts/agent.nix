{ hyperhive.network.allow = "github.com"; }

# What of an agent's manifest its system depends on. The manifest is the JSON that was
# validated outside Nix and will be pinned, never the container's own config.hyperhive,
# which agent.nix could have changed; and only what is named here reaches the system,
# so that another prompt or model is not another system.
manifest: { inherit (manifest) network; }

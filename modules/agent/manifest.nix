# The part of an agent's manifest that its system depends on. The manifest is the JSON that was
# validated outside Nix and will be pinned, never the container's own config.hyperhive, which
# agent.nix could have changed; only the options named here reach the system, so that a new prompt
# or model does not change the system.
manifest: { inherit (manifest) network; }

# A whole hive on a NixOS machine: it boots, a proposal is approved and deployed, hived is
# restarted and killed, a container is killed. No network: the model is the scripted one,
# and everything that agents' systems are built from is on the machine.
#
#   nix build .#checks.x86_64-linux.virtual-machine
{
  lib,
  testers,
  nixpkgs,
  hyperhive,
  system,
}:
let
  port = 7900;
  uid = 58001;

  # The systems of the first agents, before the test's change to alice.
  toplevel =
    name:
    (import ../modules/hive/system.nix {
      nixpkgs = nixpkgs.outPath;
      agent = ../agents + "/${name}";
      inherit (hyperhive.lib.evalAgent { agent = ../agents + "/${name}"; }) manifest;
      manager = name == "manager";
      inherit name system uid;
    }).toplevel;

  inherit (lib.importJSON ../pyglue/demo/scenario.json) story;
in
testers.runNixOSTest {
  name = "hyperhive";

  nodes.machine =
    { config, ... }:
    {
      imports = [ hyperhive.nixosModules.default ];

      services.hyperhive = {
        enable = true;
        apiKeyFile = "/etc/hive-key";
        upstreamUrl = "http://127.0.0.1:${toString port}";
        ids.agent = uid;
        agents.alice.source = ../agents/alice;
        healthTimeout = 300;
        evaluationTimeout = 600;
      };
      environment.etc.hive-key.text = "the-hives-own-key";

      systemd.services.scripted-model = {
        wantedBy = [ "multi-user.target" ];
        before = [ "hive-relay.service" ];
        serviceConfig = {
          ExecStart = lib.concatStringsSep " " [
            "${config.services.hyperhive.package.environment}/bin/python3"
            "-P -m pyglue.demo.scripted_model --port ${toString port}"
            "--script ${../pyglue/demo/scenario.json}"
          ];
          DynamicUser = true;
        };
      };

      virtualisation = {
        cores = 2;
        memorySize = 6144;
        diskSize = 16384;
        # The store is on its own disk: users of containers cannot be mapped on the host's, which is
        # mounted by 9p below an overlay.
        useBootLoader = true;
        fileSystems."/".autoResize = true;
        additionalPaths = map toplevel [
          "manager"
          "alice"
        ];
      };
      boot.growPartition = true;
      nix.settings.substituters = lib.mkForce [ ];
    };

  testScript = ''
    import json


    def hive(*words):
        return json.loads(machine.succeed(f"hive {' '.join(words)} --json"))


    def idle(name):
        state = f"""hive agents --json | grep -q '"name":"{name}"[^}}]*"state":"idle"'"""
        machine.wait_until_succeeds(state, timeout=900)


    def leader(name):
        return machine.succeed(f"machinectl show h-{name} -p Leader --value").strip()


    machine.wait_for_unit("hived.service")
    machine.wait_for_unit("hive-relay.service")
    machine.wait_for_unit("hive-web.service")
    for name in ("manager", "alice"):
        idle(name)
        machine.succeed(f"systemctl is-active container@h-{name}")

    with subtest("what is proposed is deployed when it is approved, and not before"):
        machine.succeed("hive send ${story.asked} ${lib.escapeShellArg story.request}")
        pending = """hive approvals --json | grep -q '"state":"pending"'"""
        machine.wait_until_succeeds(pending, timeout=600)
        approval = next(
            one for one in hive("approvals")["approvals"] if one["state"] == "pending"
        )
        before = next(one for one in hive("agents")["agents"] if one["name"] == "alice")
        assert before["manifest_sha256"] != approval["manifest_sha256"]
        machine.fail(f"hive approve {approval['id']} --commit {approval['commit']} --manifest {'0' * 64}")
        hive(
            *("approve", str(approval["id"]), "--commit", approval["commit"]),
            *("--manifest", approval["manifest_sha256"]),
        )
        idle("alice")
        after = next(one for one in hive("agents")["agents"] if one["name"] == "alice")
        assert after["manifest_sha256"] == approval["manifest_sha256"]

    with subtest("containers outlive hived"):
        kept = leader("alice")
        machine.succeed("systemctl restart hived")
        idle("alice")
        machine.succeed("systemctl kill --signal=KILL hived")
        machine.wait_for_unit("hived.service")
        idle("alice")
        assert leader("alice") == kept

    with subtest("a container that is killed comes back"):
        machine.succeed(f"kill -9 {kept}")
        another = f"machinectl show h-alice -p Leader --value | grep -vx {kept}"
        machine.wait_until_succeeds(another, timeout=120)
        idle("alice")

    with subtest("limits and isolation are the unit's"):
        machine.succeed("systemctl show container@h-alice -p TasksMax | grep -q 4096")
        machine.fail("systemd-run -M h-alice --wait --pipe -- ping -c1 -W1 1.1.1.1")
        machine.succeed("hive doctor")

    with subtest("logs are there"):
        machine.succeed("hive logs alice --unit machine | grep -q Started")
        machine.succeed("hive logs hive")
  '';
}

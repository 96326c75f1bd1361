# A system that Debian's systemd can run in a container: units from systemd.services,
# users, PATH, `init` and `switch-to-configuration`. Built by /bin/sh.
{ config, lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    isBool
    isList
    toString
    ;

  pkgs = import ../../pkgs.nix { system = config.nixpkgs.hostPlatform; };

  value = v: if isBool v then (if v then "true" else "false") else toString v;
  line = name: v: if isList v then map (each: "${name}=${value each}") v else [ "${name}=${value v}" ];
  section =
    name: settings:
    [ "[${name}]" ] ++ concatMap (key: line key settings.${key}) (attrNames settings) ++ [ "" ];

  unit =
    service:
    concatStringsSep "\n" (
      section "Unit" ({ Description = service.description or ""; } // service.unitConfig or { })
      ++ section "Service" (
        {
          Environment = map (key: "\"${key}=${service.environment.${key}}\"") (
            attrNames (service.environment or { })
          );
        }
        // service.serviceConfig or { }
      )
    )
    + "\n";

  services = config.systemd.services;
  wanted = name: services.${name}.wantedBy or [ ];

  users = config.users.users;
  passwd = map (
    name:
    let
      user = users.${name};
      uid = toString user.uid;
    in
    "${name}:x:${uid}:${uid}::${user.home or "/var/empty"}:/bin/sh"
  ) (attrNames users);
  group = map (name: "${name}:x:${toString config.users.groups.${name}.gid}:") (
    attrNames config.users.groups
  );
in
pkgs.build {
  name = "nixos-system-${config.system.name}-standin";
  units = pkgs.build {
    name = "units";
    names = attrNames services;
    texts = map (name: pkgs.text "unit-${name}.service" (unit services.${name})) (attrNames services);
    script = ''
      mkdir $out
      set -- $texts
      for name in $names; do
        cp $1 $out/$name.service
        shift
      done
    '';
  };
  wants = concatMap (name: map (target: "${target}/${name}.service") (wanted name)) (attrNames services);
  passwd = pkgs.text "passwd" (concatStringsSep "\n" passwd);
  group = pkgs.text "group" (concatStringsSep "\n" group);
  packages = config.environment.systemPackages;
  platform = config.nixpkgs.hostPlatform;
  state = config.system.stateVersion;
  activate = ./activate.sh;
  switch = ./switch.sh;
  script = ''
    mkdir -p $out/etc/systemd/system $out/sw/bin $out/bin
    cp $units/* $out/etc/systemd/system/
    for want in $wants; do
      mkdir -p $out/etc/systemd/system/''${want%/*}.wants
      ln -s ../''${want#*/} $out/etc/systemd/system/''${want%/*}.wants/''${want#*/}
    done
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \
      systemd-networkd.service systemd-resolved.service getty@.service console-getty.service \
      systemd-logind.service systemd-sysusers.service systemd-update-utmp.service \
      systemd-update-utmp-runlevel.service; do
      test -e $out/etc/systemd/system/$unit || ln -s /dev/null $out/etc/systemd/system/$unit
    done
    ln -s /usr/lib/systemd/system/multi-user.target $out/etc/systemd/system/default.target
    cp $passwd $out/etc/passwd
    cp $group $out/etc/group
    for package in $packages; do
      ln -sf -t $out/sw/bin $package/bin/*
    done
    printf '%s' $platform > $out/system
    printf '%s\n' $state-standin > $out/nixos-version
    sed "s|@system@|$out|g" $activate > $out/activate
    sed "s|@system@|$out|g" $switch > $out/bin/switch-to-configuration
    printf '#!/bin/sh\nPATH=/usr/bin:/bin %s/activate\nexec /usr/lib/systemd/systemd "$@"\n' $out > $out/init
    chmod +x $out/activate $out/init $out/bin/switch-to-configuration
  '';
}

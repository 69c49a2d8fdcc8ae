/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No vhost-user devices beside memory-backend-uffdmm
 *
 * Such a device is another process that maps guest memory. Pages that are out
 * of host memory have no contents there, so the backend gives its file to
 * nobody, and the device would be left without memory: its rings are at
 * addresses that it cannot find. That is refused before a guest meets it.
 *
 * Devices that are created later pass uffdmm_hide_device(). Those that exist
 * when a backend gets its memory, and network backends, which come before
 * memory on the command line, are looked for then.
 */

#include "qemu/osdep.h"
#include "hw/qdev-core.h"
#include "net/net.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "hostmem-uffdmm.h"

static bool uffdmm_is_vhost_user(const char *type)
{
    return type && (g_str_has_prefix(type, "vhost-user-") ||
                    g_str_equal(type, "cryptodev-vhost-user"));
}

static bool uffdmm_is_vhost_user_netdev(const NetClientState *nc)
{
    return nc && nc->info->type == NET_CLIENT_DRIVER_VHOST_USER;
}

static void uffdmm_refuse(const char *what, const char *name, Error **errp)
{
    error_setg(errp, "%s '%s' can't be used together with "
               "memory-backend-uffdmm: no other process can share the memory",
               what, name);
}

/* A device listener that hides nothing, and may say why a device can't be. */
static bool uffdmm_hide_device(DeviceListener *listener, const QDict *options,
                               bool from_json, Error **errp)
{
    const char *driver, *netdev, *cryptodev;

    if (!options) {
        return false;
    }
    driver = qdict_get_try_str(options, "driver");
    netdev = qdict_get_try_str(options, "netdev");
    cryptodev = qdict_get_try_str(options, "cryptodev");
    if (uffdmm_is_vhost_user(driver)) {
        uffdmm_refuse("device", driver, errp);
    } else if (netdev &&
               uffdmm_is_vhost_user_netdev(qemu_find_netdev(netdev))) {
        uffdmm_refuse("netdev", netdev, errp);
    } else if (cryptodev) {
        Object *object =
            object_resolve_path_component(object_get_objects_root(), cryptodev);

        if (object && uffdmm_is_vhost_user(object_get_typename(object))) {
            uffdmm_refuse("cryptodev", cryptodev, errp);
        }
    }
    return false;
}

static DeviceListener uffdmm_device_listener = {
    .hide_device = uffdmm_hide_device,
};
static unsigned uffdmm_listening; /* Protected by the BQL. */

static int uffdmm_find_vhost_user(Object *object, void *opaque)
{
    const char *type = object_get_typename(object);

    if (uffdmm_is_vhost_user(type)) {
        *(const char **)opaque = type;
        return 1;
    }
    return 0;
}

bool uffdmm_refuse_vhost_user(Error **errp)
{
    g_autofree NetClientState **netdevs = g_new(NetClientState *,
                                                MAX_QUEUE_NUM);
    const char *found = NULL;
    int i, count;

    object_child_foreach_recursive(object_get_root(), uffdmm_find_vhost_user,
                                   &found);
    if (found) {
        uffdmm_refuse("device", found, errp);
        return false;
    }
    count = qemu_find_net_clients_except(NULL, netdevs, NET_CLIENT_DRIVER_NIC,
                                         MAX_QUEUE_NUM);
    for (i = 0; i < MIN(count, MAX_QUEUE_NUM); i++) {
        if (uffdmm_is_vhost_user_netdev(netdevs[i])) {
            uffdmm_refuse("netdev", netdevs[i]->name, errp);
            return false;
        }
    }
    if (!uffdmm_listening++) {
        device_listener_register(&uffdmm_device_listener);
    }
    return true;
}

void uffdmm_allow_vhost_user(void)
{
    if (!--uffdmm_listening) {
        device_listener_unregister(&uffdmm_device_listener);
    }
}

//! `text` with `?verbose`, which has the format of Kubernetes' components.

use crate::shop::{IMAGES, IMAGES_FOLDER, ORDERS_FOLDER, Shop};

#[test]
fn verbose_text_is_as_kubernetes_prints_it() {
    let shop = Shop::open("");
    let get = |path: &str| shop.server.get(path);
    let healthy =
        format!("[+]{IMAGES} ok\n[+]DiskUsage ok\n[+]orders:new ok\nhealth check passed\n");
    assert_eq!(get("/ht/?format=text&verbose"), (200, healthy));

    shop.damage(ORDERS_FOLDER);
    shop.damage(IMAGES_FOLDER);
    let images =
        format!("[-]{IMAGES} failed: unavailable: storage folder is missing (not critical)\n");
    let orders = "[-]orders:new failed: unavailable: storage folder is missing\n";
    let failing = format!("{images}[+]DiskUsage ok\n{orders}health check failed\n");
    assert_eq!(get("/ht/?format=text&verbose"), (500, failing));

    let without = format!("{images}[+]DiskUsage ok\nhealth check passed\n");
    assert_eq!(
        get("/ht/?format=text&verbose&exclude=orders:new"),
        (200, without)
    );
    let warning = "warn: some health checks cannot be excluded: no matches for \"nobody\"\n";
    let unmatched = format!("{images}[+]DiskUsage ok\n{warning}health check passed\n");
    assert_eq!(
        get("/ht/?format=text&verbose&exclude=orders%3Anew&exclude=nobody"),
        (200, unmatched)
    );
    assert_eq!(
        get("/ht/host/?format=text&verbose"),
        (200, "[+]DiskUsage ok\nhost check passed\n".to_owned())
    );
}

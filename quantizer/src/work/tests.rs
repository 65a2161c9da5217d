use super::*;

fn identity(options: &str) -> Identity {
    [("checkpoint", "abc"), ("options", options)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

#[test]
fn records_are_kept_from_run_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("model.fpm.work");
    let record = (3usize, Floats(vec![1.0, -2.5, f32::INFINITY]), "text".to_owned());
    let work = Work::open(&folder, &identity("a")).unwrap();
    assert_eq!(work.load::<String>("state").unwrap(), None);
    work.save("state", &record).unwrap();
    drop(work);
    let work = Work::open(&folder, &identity("a")).unwrap();
    assert_eq!(work.load("state").unwrap(), Some(record));
    work.drop_record("state").unwrap();
    work.drop_record("state").unwrap();
    assert_eq!(work.load::<String>("state").unwrap(), None);
    work.remove(&[]).unwrap();
    assert!(!folder.exists());
}

#[test]
fn another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let work = Work::open(folder.path(), &identity("a")).unwrap();
    assert!(matches!(Work::open(folder.path(), &identity("a")), Err(WorkError::Busy { .. })));
    drop(work);
    let other = Work::open(folder.path(), &identity("b")).unwrap_err().to_string();
    assert!(other.contains("another options"), "{other}");
    Work::open(folder.path(), &identity("a")).unwrap();
}

#[test]
fn damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let work = Work::open(folder.path(), &identity("a")).unwrap();
    work.save("state", &Floats(vec![1.0; 100])).unwrap();
    let path = work.path("state");
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[50] ^= 1;
    for damaged in [&[], &whole[..whole.len() - 1], &vec![0; whole.len()], &changed] {
        fs::write(&path, damaged).unwrap();
        assert!(matches!(work.load::<Floats>("state"), Err(WorkError::Damaged { .. })));
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(work.load("state").unwrap(), Some(Floats(vec![1.0; 100])));
    drop(work);
    fs::write(folder.path().join(IDENTITY), "{").unwrap();
    assert!(matches!(Work::open(folder.path(), &identity("a")), Err(WorkError::Damaged { .. })));
}

//! The metadata of a group's offsets, which any tool may have written in any bytes: rdkafka's own accessor panics where they
//! are not UTF-8, so this file reads librdkafka's list itself; nothing of it outlives the call.
#![allow(unsafe_code)]

use rdkafka::TopicPartitionList;

/// The metadata of each element of `list`, in order; empty where it has none.
pub(crate) fn metadata(list: &TopicPartitionList) -> Vec<Vec<u8>> {
    // SAFETY: the list owns its elements and their metadata, and is borrowed for the whole call. An element without
    // metadata has size 0, where the pointer is not looked at.
    unsafe {
        let list = &*list.ptr();
        let elements = (0..list.cnt.max(0) as usize).map(|place| &*list.elems.add(place));
        let bytes = |metadata: *const std::ffi::c_void, size: usize| match size {
            0 => Vec::new(),
            _ => std::slice::from_raw_parts(metadata.cast::<u8>(), size).to_vec(),
        };
        elements.map(|element| bytes(element.metadata, element.metadata_size)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn metadata_of_others_is_read_whatever_it_holds() {
        let mut list = TopicPartitionList::new();
        list.add_partition("t", 0).set_metadata("vitrina;1;model=m");
        list.add_partition("t", 1);
        list.add_partition("t", 2).set_metadata("vitrin");
        // What another tool may write: rdkafka's own setter takes text only.
        let bytes = unsafe {
            String::from_utf8_unchecked(vec![0xff, 0xfe, b'v', b'i', b't', b'r', b'i', b'n', b'a'])
        };
        list.add_partition("t", 3).set_metadata(&bytes);
        let found = metadata(&list);
        assert_eq!(found[..3], [&b"vitrina;1;model=m"[..], b"", b"vitrin"]);
        assert_eq!(found[3], b"\xff\xfevitrina");
    }
}

//! A topic's id, the only thing that tells a re-created topic from the one that was read before (a consumer goes on at
//! its old offset in the new log without any error). rdkafka's safe interface has no DescribeTopics, so this file calls
//! librdkafka itself; every pointer lives no longer than the call below that made it.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};

/// Ids by topic. Topics that the broker does not know are left out; an id that it does not give is empty.
///
/// # Errors
/// The broker did not answer within `timeout`.
pub(crate) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> Result<HashMap<String, String>, String> {
    let names: Vec<CString> =
        topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = timeout.as_millis().min(i32::MAX as u128) as i32;
    // SAFETY: `client` outlives the call; `names` outlives the collection made of its pointers; queue, collection,
    // options and event are each destroyed exactly once, after the last use of what they own.
    unsafe {
        let rk = client.native_ptr();
        let options = sys::rd_kafka_AdminOptions_new(
            rk,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, std::ptr::null_mut(), 0);
        let queue = sys::rd_kafka_queue_new(rk);
        let collection =
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(rk, collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis.saturating_add(500));
        let ids =
            if event.is_null() { Err("no answer in time".to_owned()) } else { read_ids(event) };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        ids
    }
}

/// # Safety
/// `event` is a live event of a DescribeTopics call.
unsafe fn read_ids(event: *mut sys::rd_kafka_event_t) -> Result<HashMap<String, String>, String> {
    let text = |pointer| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned();
    unsafe {
        if sys::rd_kafka_event_error(event) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return Err(text(sys::rd_kafka_event_error_string(event)));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err("an answer of another kind".to_owned());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let mut ids = HashMap::new();
        for index in 0..count {
            let topic = *topics.add(index);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            if sys::rd_kafka_error_code(error)
                == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                let id = sys::rd_kafka_TopicDescription_topic_id(topic);
                let unknown = id.is_null()
                    || (sys::rd_kafka_Uuid_most_significant_bits(id) == 0
                        && sys::rd_kafka_Uuid_least_significant_bits(id) == 0);
                let id =
                    if unknown { String::new() } else { text(sys::rd_kafka_Uuid_base64str(id)) };
                ids.insert(text(sys::rd_kafka_TopicDescription_name(topic)), id);
            }
        }
        Ok(ids)
    }
}

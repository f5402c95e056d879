/** One table of an invented FusionPBX: the names and types of its columns are those of the real one. */
export interface ProviderTable {
  readonly name: string
  /** The first is the primary key. */
  readonly columns: readonly ProviderColumn[]
  /** How many rows there are, on average. */
  readonly rows: { readonly perAccount: number; readonly perUser: number; readonly global: number }
}

export interface ProviderColumn {
  readonly name: string
  readonly type: ColumnType
}

export type ColumnType = "uuid" | "text" | "numeric" | "boolean" | "timestamptz" | "json" | "jsonb" | "character(1)"

const types: Readonly<Record<string, ColumnType>> = {
  n: "numeric",
  b: "boolean",
  t: "timestamptz",
  j: "json",
  J: "jsonb",
  u: "uuid",
  c: "character(1)",
  x: "text",
}

/** Every table has these at its end. */
const stamps = "insert_date:t insert_user:u update_date:t update_user:u"

/** "name:type" for each column; without a type, what ends in "uuid" is one and all else is text. */
function table(name: string, [perAccount, perUser, global]: readonly [number, number, number], columns: string): ProviderTable {
  const parsed = `${columns} ${stamps}`.split(" ").map((column) => {
    const [column_ = "", letter] = column.split(":")
    return { name: column_, type: letter === undefined ? (column_.endsWith("uuid") ? "uuid" : "text") : (types[letter] ?? "text") }
  })
  return { name, columns: parsed, rows: { perAccount, perUser, global } }
}

/** A feature's page: name, number, where it leads. */
const labelled = (prefix: string): string =>
  `${prefix}_name ${prefix}_extension ${prefix}_context ${prefix}_enabled:b ${prefix}_description`

/** Two hundred thousand users make six million rows of these. */
export const fusionpbxTables: readonly ProviderTable[] = [
  table("v_domains", [1, 0, 0], "domain_uuid domain_parent_uuid domain_name domain_enabled:b domain_description"),
  table(
    "v_domain_settings",
    [12, 0, 0],
    "domain_setting_uuid domain_uuid app_uuid domain_setting_category domain_setting_subcategory domain_setting_name domain_setting_value domain_setting_order:n domain_setting_enabled:b domain_setting_description",
  ),
  table(
    "v_users",
    [1, 0.6, 0],
    "user_uuid domain_uuid contact_uuid username password salt user_email user_status api_key user_totp_secret user_type user_enabled:b add_user add_date",
  ),
  table("v_user_groups", [1, 0.6, 0], "user_group_uuid domain_uuid group_name group_uuid user_uuid"),
  table(
    "v_user_logs",
    [5, 8, 200],
    "user_log_uuid domain_uuid hostname timestamp:t user_uuid username type result detail remote_address user_agent session_id remember_selector:u remember_validator",
  ),
  table(
    "v_user_settings",
    [1, 1, 0],
    "user_setting_uuid user_uuid domain_uuid user_setting_category user_setting_subcategory user_setting_name user_setting_value user_setting_order:n user_setting_enabled:b user_setting_description",
  ),
  table("v_groups", [0.2, 0, 6], "group_uuid domain_uuid group_name group_protected:b group_level:n group_description"),
  table(
    "v_group_permissions",
    [2, 0, 900],
    "group_permission_uuid domain_uuid permission_name permission_protected permission_assigned group_name group_uuid",
  ),
  table(
    "v_extensions",
    [0, 1, 0],
    "extension_uuid domain_uuid extension number_alias password accountcode effective_caller_id_name effective_caller_id_number outbound_caller_id_name outbound_caller_id_number emergency_caller_id_name emergency_caller_id_number directory_first_name directory_last_name directory_visible:b directory_exten_visible:b max_registrations limit_max limit_destination missed_call_app missed_call_data user_context toll_allow call_timeout:n call_group call_screen_enabled:b user_record hold_music auth_acl cidr sip_force_contact nibble_account sip_force_expires:n mwi_account sip_bypass_media unique_id:n dial_string dial_user dial_domain do_not_disturb:b forward_all_destination forward_all_enabled:b forward_busy_destination forward_busy_enabled:b forward_no_answer_destination forward_no_answer_enabled:b forward_user_not_registered_destination forward_user_not_registered_enabled:b follow_me_uuid follow_me_enabled:b follow_me_destinations extension_language extension_dialect extension_voice extension_type enabled:b description absolute_codec_string force_ping:b",
  ),
  table(
    "v_extension_settings",
    [0, 0.5, 0],
    "extension_setting_uuid domain_uuid extension_uuid extension_setting_type extension_setting_name extension_setting_value extension_setting_enabled:b extension_setting_description",
  ),
  table("v_extension_users", [0, 0.8, 0], "extension_user_uuid domain_uuid extension_uuid user_uuid"),
  table(
    "v_follow_me",
    [0, 0.5, 0],
    "follow_me_uuid domain_uuid cid_name_prefix cid_number_prefix dial_string follow_me_enabled:b follow_me_ignore_busy:b",
  ),
  table(
    "v_follow_me_destinations",
    [0, 1, 0],
    "follow_me_destination_uuid domain_uuid follow_me_uuid follow_me_destination follow_me_delay:n follow_me_timeout:n follow_me_prompt follow_me_order:n",
  ),
  table(
    "v_devices",
    [0, 1.1, 0],
    "device_uuid domain_uuid device_profile_uuid device_address device_label device_vendor device_location device_serial_number device_model device_firmware_version device_enabled:b device_enabled_date:t device_template device_user_uuid device_username device_password device_uuid_alternate:u device_description device_provisioned_date:t device_provisioned_method device_provisioned_ip device_provisioned_agent",
  ),
  table(
    "v_device_keys",
    [0, 8, 0],
    "device_key_uuid domain_uuid device_uuid device_key_id:n device_key_category device_key_vendor device_key_type device_key_subtype device_key_line:n device_key_value device_key_extension device_key_protected device_key_label device_key_icon",
  ),
  table(
    "v_device_lines",
    [0, 1.5, 0],
    "device_line_uuid domain_uuid device_uuid line_number server_address server_address_primary server_address_secondary outbound_proxy_primary outbound_proxy_secondary label display_name user_id auth_id password sip_port:n sip_transport register_expires:n shared_line enabled:b",
  ),
  table(
    "v_device_settings",
    [0, 1, 0],
    "device_setting_uuid device_uuid domain_uuid device_setting_category device_setting_subcategory device_setting_name device_setting_value device_setting_enabled:b device_setting_description",
  ),
  table(
    "v_device_profiles",
    [0.5, 0, 3],
    "device_profile_uuid domain_uuid device_profile_name device_profile_enabled:b device_profile_description",
  ),
  table(
    "v_device_profile_keys",
    [3, 0, 20],
    "device_profile_key_uuid domain_uuid device_profile_uuid profile_key_id:n profile_key_category profile_key_vendor profile_key_type profile_key_line:n profile_key_value profile_key_label",
  ),
  table(
    "v_device_profile_settings",
    [1, 0, 10],
    "device_profile_setting_uuid domain_uuid device_profile_uuid profile_setting_name profile_setting_value profile_setting_enabled:b profile_setting_description",
  ),
  table("v_device_vendors", [0, 0, 20], "device_vendor_uuid name enabled:b description"),
  table(
    "v_device_vendor_functions",
    [0, 0, 900],
    "device_vendor_function_uuid device_vendor_uuid type subtype value enabled:b description",
  ),
  table(
    "v_device_vendor_function_groups",
    [0, 0, 2000],
    "device_vendor_function_group_uuid device_vendor_function_uuid device_vendor_uuid group_name group_uuid",
  ),
  table(
    "v_destinations",
    [2, 0.7, 2],
    "destination_uuid domain_uuid dialplan_uuid fax_uuid user_uuid group_uuid provider_uuid destination_type destination_number destination_trunk_prefix destination_area_code destination_prefix destination_condition_field destination_number_regex destination_caller_id_name destination_caller_id_number destination_cid_name_prefix destination_context destination_record:b destination_hold_music destination_distinctive_ring destination_ringback destination_accountcode destination_type_voice:n destination_type_fax:n destination_type_emergency:n destination_type_text:n destination_conditions:j destination_actions:j destination_app destination_data destination_alternate_app destination_alternate_data destination_order:n destination_enabled:b destination_description destination_email:b",
  ),
  table(
    "v_dialplans",
    [20, 0.4, 60],
    "dialplan_uuid domain_uuid app_uuid hostname dialplan_context dialplan_name dialplan_number dialplan_destination:b dialplan_continue:b dialplan_xml dialplan_order:n dialplan_enabled:b dialplan_description",
  ),
  table(
    "v_dialplan_details",
    [80, 2, 300],
    "dialplan_detail_uuid domain_uuid dialplan_uuid dialplan_detail_tag dialplan_detail_type dialplan_detail_data dialplan_detail_break dialplan_detail_inline dialplan_detail_group:n dialplan_detail_order:n dialplan_detail_enabled:b",
  ),
  table(
    "v_gateways",
    [0.3, 0, 4],
    "gateway_uuid domain_uuid gateway username password distinct_to:b auth_username realm from_user from_domain proxy register_proxy outbound_proxy expire_seconds:n register:b register_transport contact_params retry_seconds:n extension ping ping_min ping_max contact_in_ping:b caller_id_in_from:b supress_cng:b sip_cid_type codec_prefs channels:n extension_in_contact context profile hostname enabled:b description",
  ),
  table("v_bridges", [0.5, 0, 5], "bridge_uuid domain_uuid bridge_name bridge_destination bridge_enabled:b bridge_description"),
  table("v_streams", [0.1, 0, 2], "stream_uuid domain_uuid stream_name stream_location stream_enabled:b stream_description"),
  table("v_pin_numbers", [1, 0, 0], "pin_number_uuid domain_uuid pin_number accountcode enabled:b description"),
  table(
    "v_call_block",
    [3, 0.3, 10],
    "call_block_uuid domain_uuid call_block_direction extension_uuid call_block_name call_block_country_code:n call_block_number call_block_count:n call_block_action call_block_app call_block_data date_added call_block_enabled:b call_block_description",
  ),
  table(
    "v_call_broadcasts",
    [0.2, 0, 0],
    "call_broadcast_uuid domain_uuid broadcast_name broadcast_description broadcast_start_time:n broadcast_timeout:n broadcast_concurrent_limit:n recording_uuid broadcast_caller_id_name broadcast_caller_id_number broadcast_destination_type broadcast_phone_numbers broadcast_avmd:b broadcast_destination_data broadcast_accountcode broadcast_toll_allow",
  ),
  table(
    "v_call_flows",
    [0.5, 0, 0],
    `call_flow_uuid domain_uuid dialplan_uuid ${labelled("call_flow")} call_flow_feature_code call_flow_status call_flow_pin_number call_flow_label call_flow_sound call_flow_app call_flow_data call_flow_alternate_label call_flow_alternate_sound call_flow_alternate_app call_flow_alternate_data`,
  ),
  table(
    "v_ring_groups",
    [1, 0.1, 0],
    `ring_group_uuid domain_uuid dialplan_uuid ${labelled("ring_group")} ring_group_greeting ring_group_call_timeout:n ring_group_forward_destination ring_group_forward_enabled:b ring_group_cid_name_prefix ring_group_strategy ring_group_timeout_app ring_group_timeout_data ring_group_ringback ring_group_missed_call_app ring_group_missed_call_data`,
  ),
  table(
    "v_ring_group_destinations",
    [2, 0.8, 0],
    "ring_group_destination_uuid domain_uuid ring_group_uuid destination_number destination_delay:n destination_timeout:n destination_enabled:b destination_prompt:n destination_description",
  ),
  table("v_ring_group_users", [0, 0.1, 0], "ring_group_user_uuid domain_uuid ring_group_uuid user_uuid"),
  table(
    "v_ivr_menus",
    [0.6, 0.02, 0],
    `ivr_menu_uuid domain_uuid dialplan_uuid ${labelled("ivr_menu")} ivr_menu_parent_uuid ivr_menu_language ivr_menu_greet_long ivr_menu_greet_short ivr_menu_invalid_sound ivr_menu_exit_sound ivr_menu_confirm_attempts:n ivr_menu_timeout:n ivr_menu_exit_app ivr_menu_exit_data ivr_menu_max_failures:n ivr_menu_digit_len:n ivr_menu_direct_dial:b ivr_menu_ringback`,
  ),
  table(
    "v_ivr_menu_options",
    [3, 0.1, 0],
    "ivr_menu_option_uuid ivr_menu_uuid domain_uuid ivr_menu_option_digits ivr_menu_option_action ivr_menu_option_param ivr_menu_option_order:n ivr_menu_option_description ivr_menu_option_enabled:b",
  ),
  table(
    "v_call_center_queues",
    [0.2, 0.01, 0],
    "call_center_queue_uuid domain_uuid dialplan_uuid queue_name queue_extension queue_greeting queue_strategy queue_moh_sound queue_record_template queue_time_base_score queue_max_wait_time:n queue_tier_rules_apply:b queue_timeout_action queue_cid_prefix queue_context queue_description",
  ),
  table(
    "v_call_center_agents",
    [0, 0.1, 0],
    "call_center_agent_uuid domain_uuid user_uuid agent_name agent_type agent_call_timeout:n agent_id agent_password agent_contact agent_status agent_logout agent_max_no_answer:n agent_wrap_up_time:n agent_reject_delay_time:n agent_busy_delay_time:n agent_no_answer_delay_time agent_record:b",
  ),
  table(
    "v_call_center_tiers",
    [0, 0.15, 0],
    "call_center_tier_uuid domain_uuid call_center_queue_uuid call_center_agent_uuid agent_name queue_name tier_level:n tier_position:n",
  ),
  table(
    "v_fifo",
    [0.05, 0, 0],
    "fifo_uuid domain_uuid dialplan_uuid fifo_name fifo_extension fifo_agent_queue fifo_agent_status fifo_strategy fifo_members fifo_timeout_seconds fifo_exit_key:n fifo_exit_action fifo_music fifo_order:n fifo_enabled:b fifo_description",
  ),
  table(
    "v_fifo_members",
    [0.2, 0, 0],
    "fifo_member_uuid domain_uuid fifo_uuid member_contact member_call_timeout:n member_simultaneous:n member_wrap_up_time:n member_enabled:b",
  ),
  table(
    "v_conference_centers",
    [0.1, 0, 0],
    "conference_center_uuid domain_uuid dialplan_uuid conference_center_name conference_center_extension conference_center_pin_length:n conference_center_greeting conference_center_description conference_center_enabled:b",
  ),
  table(
    "v_conference_rooms",
    [0.3, 0, 0],
    "conference_room_uuid domain_uuid conference_center_uuid conference_room_name profile record:b moderator_pin participant_pin max_members:n start_datetime stop_datetime wait_mod:b moderator_endconf:b announce_name:b sounds:b mute:b created created_by email_address account_code enabled:b description",
  ),
  table("v_conference_room_users", [0.3, 0, 0], "conference_room_user_uuid domain_uuid conference_room_uuid user_uuid"),
  table(
    "v_conference_sessions",
    [2, 0.2, 0],
    "conference_session_uuid domain_uuid meeting_uuid profile recording start_epoch:n end_epoch:n",
  ),
  table(
    "v_conference_session_details",
    [6, 0.6, 0],
    "conference_session_detail_uuid domain_uuid conference_session_uuid meeting_uuid username caller_id_name caller_id_number uuid moderator network_addr start_epoch:n end_epoch:n",
  ),
  table(
    "v_conferences",
    [0.3, 0, 0],
    `conference_uuid domain_uuid dialplan_uuid ${labelled("conference")} conference_pin_number conference_profile conference_flags conference_order:n`,
  ),
  table("v_conference_users", [0.3, 0, 0], "conference_user_uuid domain_uuid conference_uuid user_uuid"),
  table("v_conference_controls", [0, 0, 3], "conference_control_uuid control_name control_enabled:b control_description"),
  table(
    "v_conference_control_details",
    [0, 0, 30],
    "conference_control_detail_uuid conference_control_uuid control_digits control_action control_data control_enabled:b",
  ),
  table("v_conference_profiles", [0, 0, 4], "conference_profile_uuid profile_name profile_enabled:b profile_description"),
  table(
    "v_conference_profile_params",
    [0, 0, 80],
    "conference_profile_param_uuid conference_profile_uuid profile_param_name profile_param_value profile_param_enabled:b profile_param_description",
  ),
  table("v_emergency_logs", [0.1, 0, 0], "emergency_log_uuid domain_uuid extension:n event"),
  table(
    "v_voicemails",
    [0, 1, 0],
    "voicemail_uuid domain_uuid voicemail_id voicemail_password voicemail_tutorial:b greeting_id:n voicemail_alternate_greet_id voicemail_recording_instructions:b voicemail_recording_options:b voicemail_mail_to voicemail_sms_to voicemail_transcription_enabled:b voicemail_attach_file voicemail_file voicemail_local_after_email:b voicemail_local_after_forward:b voicemail_enabled:b voicemail_description voicemail_name_base64",
  ),
  table("v_voicemail_destinations", [0, 0.1, 0], "voicemail_destination_uuid domain_uuid voicemail_uuid voicemail_uuid_copy:u"),
  table(
    "v_voicemail_greetings",
    [0, 0.3, 0],
    "voicemail_greeting_uuid domain_uuid voicemail_id greeting_id:n greeting_name greeting_voice greeting_message greeting_filename greeting_description greeting_base64",
  ),
  table(
    "v_voicemail_messages",
    [0, 3, 0],
    "voicemail_message_uuid domain_uuid voicemail_uuid created_epoch:n read_epoch:n caller_id_name caller_id_number message_length:n message_status message_priority message_intro_base64 message_base64 message_transcription",
  ),
  table(
    "v_voicemail_options",
    [0, 0.3, 0],
    "voicemail_option_uuid domain_uuid voicemail_uuid voicemail_option_digits voicemail_option_action voicemail_option_param voicemail_option_order:n voicemail_option_description",
  ),
  table(
    "v_recordings",
    [2, 0.1, 0],
    "recording_uuid domain_uuid recording_filename recording_name recording_voice recording_speed:n recording_message recording_description recording_base64",
  ),
  table("v_phrases", [0.3, 0, 2], "phrase_uuid domain_uuid phrase_name phrase_language phrase_enabled:b phrase_description"),
  table(
    "v_phrase_details",
    [1, 0, 8],
    "phrase_detail_uuid phrase_uuid domain_uuid phrase_detail_group:n phrase_detail_tag phrase_detail_pattern phrase_detail_function phrase_detail_data phrase_detail_method phrase_detail_type phrase_detail_order",
  ),
  table(
    "v_music_on_hold",
    [0.3, 0, 4],
    "music_on_hold_uuid domain_uuid music_on_hold_name music_on_hold_path music_on_hold_rate:n music_on_hold_shuffle music_on_hold_channels:n music_on_hold_interval:n music_on_hold_timer_name music_on_hold_chime_list music_on_hold_chime_freq:n music_on_hold_chime_max:n",
  ),
  table(
    "v_fax",
    [0.5, 0.02, 0],
    "fax_uuid domain_uuid dialplan_uuid fax_extension fax_destination_number fax_prefix fax_name fax_email fax_email_confirmation fax_file fax_email_connection_type fax_email_connection_host fax_email_connection_username fax_email_connection_password fax_pin_number fax_caller_id_name fax_caller_id_number fax_send_channels:n fax_description accountcode",
  ),
  table(
    "v_fax_files",
    [5, 0.2, 0],
    "fax_file_uuid domain_uuid fax_uuid fax_mode fax_recipient fax_destination fax_file_type fax_file_path fax_caller_id_name fax_caller_id_number fax_date:t fax_epoch:n fax_base64 read_date:t",
  ),
  table(
    "v_fax_logs",
    [8, 0.2, 0],
    "fax_log_uuid domain_uuid fax_uuid fax_success fax_result_code:n fax_result_text fax_file fax_ecm_used fax_local_station_id fax_document_transferred_pages:n fax_document_total_pages:n fax_image_resolution fax_image_size:n fax_bad_rows:n fax_transfer_rate:n fax_retry_attempts:n fax_uri fax_duration:n fax_date:t fax_epoch:n",
  ),
  table(
    "v_fax_queue",
    [1, 0, 0],
    "fax_queue_uuid domain_uuid fax_uuid origination_uuid fax_log_uuid fax_date:t hostname fax_caller_id_name fax_caller_id_number fax_recipient fax_number fax_prefix fax_email_address fax_file fax_status fax_retry_date:t fax_notify_sent:b fax_notify_date:t fax_retry_count:n fax_accountcode fax_command fax_response",
  ),
  table("v_fax_users", [0.5, 0, 0], "fax_user_uuid domain_uuid fax_uuid user_uuid"),
  table(
    "v_contacts",
    [2, 2.5, 5],
    "contact_uuid domain_uuid contact_parent_uuid contact_type contact_organization contact_name_prefix contact_name_given contact_name_middle contact_name_family contact_name_suffix contact_nickname contact_title contact_role contact_category contact_url contact_time_zone contact_note last_mod_date last_mod_user",
  ),
  table(
    "v_contact_addresses",
    [0, 0.5, 0],
    "contact_address_uuid domain_uuid contact_uuid address_type address_label address_primary:b address_street address_extended address_community address_locality address_region address_postal_code address_country address_latitude address_longitude address_description",
  ),
  table(
    "v_contact_attachments",
    [0, 0.02, 0],
    "contact_attachment_uuid domain_uuid contact_uuid attachment_primary:b attachment_filename attachment_content attachment_description attachment_uploaded_date:t attachment_uploaded_user_uuid",
  ),
  table(
    "v_contact_emails",
    [0, 1.5, 0],
    "contact_email_uuid domain_uuid contact_uuid email_label email_primary:b email_address email_description",
  ),
  table("v_contact_groups", [0, 0.2, 0], "contact_group_uuid domain_uuid contact_uuid group_uuid"),
  table("v_contact_notes", [0, 0.2, 0], "contact_note_uuid domain_uuid contact_uuid contact_note last_mod_date last_mod_user"),
  table(
    "v_contact_phones",
    [0, 3, 5],
    "contact_phone_uuid domain_uuid contact_uuid phone_label phone_type_voice:n phone_type_fax:n phone_type_video:n phone_type_text:n phone_speed_dial phone_country_code:n phone_number phone_extension phone_primary:b phone_description",
  ),
  table("v_contact_relations", [0, 0.05, 0], "contact_relation_uuid domain_uuid contact_uuid relation_label relation_contact_uuid"),
  table(
    "v_contact_settings",
    [0, 0.1, 0],
    "contact_setting_uuid contact_uuid domain_uuid contact_setting_category contact_setting_subcategory contact_setting_name contact_setting_value contact_setting_order:n contact_setting_enabled:b contact_setting_description",
  ),
  table("v_contact_times", [0, 0.05, 0], "contact_time_uuid domain_uuid contact_uuid user_uuid time_start:t time_stop:t time_description"),
  table(
    "v_contact_urls",
    [0, 0.1, 0],
    "contact_url_uuid domain_uuid contact_uuid url_type url_label url_primary:b url_address url_description",
  ),
  table("v_contact_users", [0, 0.3, 0], "contact_user_uuid domain_uuid contact_uuid user_uuid"),
  table(
    "v_email_queue",
    [2, 0.5, 5],
    "email_queue_uuid domain_uuid hostname email_date:t email_from email_to email_subject email_body email_status email_retry_count:n email_action_before email_action_after email_uuid email_transcription email_response",
  ),
  table(
    "v_email_queue_attachments",
    [1, 0.2, 0],
    "email_queue_attachment_uuid domain_uuid email_queue_uuid email_attachment_mime_type email_attachment_type email_attachment_path email_attachment_name email_attachment_base64 email_attachment_cid",
  ),
  table(
    "v_email_templates",
    [0.1, 0, 40],
    "email_template_uuid domain_uuid template_language template_category template_subcategory template_subject template_body template_type template_enabled:b template_description",
  ),
  table(
    "v_database_transactions",
    [5, 1.5, 30],
    "database_transaction_uuid domain_uuid user_uuid app_name app_uuid transaction_code transaction_address transaction_type transaction_date:t transaction_old transaction_new transaction_result",
  ),
  table("v_dashboards", [0.05, 0, 2], "dashboard_uuid domain_uuid dashboard_name dashboard_enabled:b dashboard_description"),
  table(
    "v_dashboard_widgets",
    [0.5, 0, 20],
    "dashboard_widget_uuid dashboard_uuid dashboard_widget_parent_uuid widget_name widget_path widget_icon widget_url widget_content widget_chart_type widget_label_enabled:b widget_column_span:n widget_row_span:n widget_order:n widget_enabled:b widget_description",
  ),
  table("v_dashboard_widget_groups", [0.5, 0, 40], "dashboard_widget_group_uuid dashboard_uuid dashboard_widget_uuid group_uuid"),
  table("v_access_controls", [0, 0, 4], "access_control_uuid access_control_name access_control_default access_control_description"),
  table("v_access_control_nodes", [0, 0, 60], "access_control_node_uuid access_control_uuid node_type node_cidr node_description"),
  table("v_countries", [0, 0, 249], "country_uuid country iso_a2 iso_a3 num:n country_code"),
  table(
    "v_databases",
    [0, 0, 1],
    "database_uuid database_driver database_type database_host database_port database_name database_username database_password database_path database_description",
  ),
  table(
    "v_default_settings",
    [0, 0, 1400],
    "default_setting_uuid app_uuid default_setting_category default_setting_subcategory default_setting_name default_setting_value default_setting_order:n default_setting_enabled:b default_setting_description",
  ),
  table("v_event_guard_logs", [0, 0, 3000], "event_guard_log_uuid hostname log_date:t filter ip_address extension user_agent log_status"),
  table("v_languages", [0, 0, 180], "language_uuid language code"),
  table("v_menus", [0, 0, 2], "menu_uuid menu_name menu_language menu_description"),
  table(
    "v_menu_items",
    [0, 0, 120],
    "menu_item_uuid menu_uuid menu_item_parent_uuid uuid menu_item_title menu_item_link menu_item_icon menu_item_category menu_item_order:n menu_item_description",
  ),
  table("v_menu_item_groups", [0, 0, 300], "menu_item_group_uuid menu_uuid menu_item_uuid group_name group_uuid"),
  table("v_menu_languages", [0, 0, 2000], "menu_language_uuid menu_uuid menu_item_uuid menu_language menu_item_title"),
  table(
    "v_modules",
    [0, 0, 90],
    "module_uuid module_label module_name module_category module_order:n module_enabled:b module_default_enabled:b module_description",
  ),
  table("v_notifications", [0, 0, 1], "notification_uuid project_notifications"),
  table(
    "v_number_translations",
    [0, 0, 4],
    "number_translation_uuid number_translation_name number_translation_enabled:b number_translation_description",
  ),
  table(
    "v_number_translation_details",
    [0, 0, 20],
    "number_translation_detail_uuid number_translation_uuid number_translation_detail_regex number_translation_detail_replace number_translation_detail_order",
  ),
  table("v_permissions", [0, 0, 2000], "permission_uuid application_uuid application_name permission_name permission_description"),
  table(
    "v_sip_profiles",
    [0, 0, 4],
    "sip_profile_uuid sip_profile_name sip_profile_hostname sip_profile_enabled:b sip_profile_description",
  ),
  table(
    "v_sip_profile_domains",
    [0, 0, 4],
    "sip_profile_domain_uuid sip_profile_uuid sip_profile_domain_name sip_profile_domain_alias sip_profile_domain_parse",
  ),
  table(
    "v_sip_profile_settings",
    [0, 0, 240],
    "sip_profile_setting_uuid sip_profile_uuid sip_profile_setting_name sip_profile_setting_value sip_profile_setting_enabled:b sip_profile_setting_description",
  ),
  table(
    "v_sofia_global_settings",
    [0, 0, 6],
    "sofia_global_setting_uuid global_setting_name global_setting_value global_setting_enabled:b global_setting_description",
  ),
  table("v_software", [0, 0, 1], "software_uuid software_name software_url software_version"),
  table(
    "v_vars",
    [0, 0, 130],
    "var_uuid var_category var_name var_value var_command var_hostname var_enabled:b var_order:n var_description",
  ),
  table(
    "v_xml_cdr",
    [0, 0, 0],
    "xml_cdr_uuid domain_uuid provider_uuid extension_uuid sip_call_id domain_name accountcode direction default_language context caller_id_name caller_id_number caller_destination source_number destination_number start_epoch:n start_stamp:t answer_stamp:t answer_epoch:n end_epoch:n end_stamp:t duration:n mduration:n billsec:n billmsec:n hold_accum_seconds:n bridge_uuid:x read_codec read_rate write_codec write_rate remote_media_ip network_addr record_path record_name record_length:n record_transcription leg:c originating_leg_uuid pdd_ms:n rtp_audio_in_mos:n last_app last_arg voicemail_message:b missed_call:b call_center_queue_uuid cc_side cc_member_uuid cc_queue_joined_epoch:n cc_queue cc_member_session_uuid cc_agent_uuid cc_agent cc_agent_type cc_agent_bridged cc_queue_answered_epoch:n cc_queue_terminated_epoch:n cc_queue_canceled_epoch:n cc_cancel_reason cc_cause waitsec:n conference_name conference_uuid conference_member_id digits_dialed pin_number status call_disposition hangup_cause hangup_cause_q850:n sip_hangup_disposition ring_group_uuid ivr_menu_uuid processed:b call_flow:J xml json:J",
  ),
  table(
    "v_xml_cdr_extensions",
    [0, 0, 0],
    "xml_cdr_extension_uuid domain_uuid xml_cdr_uuid extension_uuid start_stamp:t end_stamp:t duration:n",
  ),
  table("v_xml_cdr_flow", [0, 0, 0], "xml_cdr_flow_uuid xml_cdr_uuid domain_uuid call_flow:J"),
  table("v_xml_cdr_json", [0, 0, 0], "xml_cdr_json_uuid xml_cdr_uuid domain_uuid start_stamp:t json:J"),
  table("v_xml_cdr_logs", [0, 0, 0], "xml_cdr_log_uuid xml_cdr_uuid domain_uuid log_date log_content"),
  table("v_xml_cdr_transcripts", [0, 0, 0], "xml_cdr_transcript_uuid xml_cdr_uuid domain_uuid transcript_json:J transcript_summary"),
]

/** What makes these tables in an empty Postgres database, with the indexes that the platform makes on call detail records. */
export function fusionpbxSchema(): string {
  const tables = fusionpbxTables.map(({ name, columns }) => {
    const [key] = columns
    const lines = columns.map((column) => `  "${column.name}" ${column.type}${column === key ? " PRIMARY KEY" : ""}`)
    return `CREATE TABLE ${name} (\n${lines.join(",\n")}\n);`
  })
  const indexed = ["domain_uuid", "start_stamp", "insert_date", "update_date"]
  return [...tables, ...indexed.map((column) => `CREATE INDEX ON v_xml_cdr (${column});`)].join("\n")
}
